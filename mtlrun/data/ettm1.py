"""Electricity transformer temperature, a row every quarter of an hour."""

from mtlrun.data._ett import ETT


class ETTm1(ETT):
    """Seven series of one station: six loads and the oil temperature, every 15 minutes.

    Source: Zhou et al., Informer, AAAI 2021, arXiv:2012.07436; windows, borders and time marks as in
    Autoformer (arXiv:2106.13008) and PTG's forecasting experiment, which take the marks of
    hourly data ("h") although a row comes every quarter of an hour.

    Args:
        path: The CSV; None for `ETTm1.csv` in `root`.
        root: The folder that holds the CSV; None for `data/ettm1`.
        seq_len: Rows that are observed.
        label_len: The last of them, with which a decoder begins.
        pred_len: Rows that are predicted.
        split: Shares of the rows for training, validation and test; None for the standard borders:
            12, 4 and 4 months of 30 days, 57,600 rows in all.
        tasks: Series that are predicted, in the order of tables; None for all seven.
        time_marks: "h" for hour of day, day of week, of month and of year; "t" for the minute of
            the hour before them.
    """

    name = "ettm1"
    file = "ETTm1.csv"
    minutes = 15
