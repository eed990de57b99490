"""Plans, executors and the command line: the only place that knows Dask."""
