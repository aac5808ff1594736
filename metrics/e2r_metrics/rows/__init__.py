"""The catalog's tables: one row per metric, by family; `e2r_metrics.catalog` joins them."""
