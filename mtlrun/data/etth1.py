"""Electricity transformer temperature, a row every hour."""

from mtlrun.data._ett import ETT


class ETTh1(ETT):
    """Seven series of one station: six loads and the oil temperature, every hour.

    Source: Zhou et al., Informer, AAAI 2021, arXiv:2012.07436; windows, borders and time marks as in
    Autoformer (arXiv:2106.13008).

    Args:
        path: The CSV; None for `ETTh1.csv` in `root`.
        root: The folder that holds the CSV; None for `data/etth1`.
        seq_len: Rows that are observed.
        label_len: The last of them, with which a decoder begins.
        pred_len: Rows that are predicted.
        split: Shares of the rows for training, validation and test; None for the standard borders:
            12, 4 and 4 months of 30 days, 14,400 rows in all.
        tasks: Series that are predicted, in the order of tables; None for all seven.
        time_marks: "h" for hour of day, day of week, of month and of year; "t" for the minute of
            the hour before them.
    """

    name = "etth1"
    file = "ETTh1.csv"
    minutes = 60
