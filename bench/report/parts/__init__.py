"""One file a part of a page: rows of DataFrames to cells and sentences."""
