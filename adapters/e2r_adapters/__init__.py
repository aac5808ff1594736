"""Few-shot Kontext adapters: training, inference and the embedded miniature."""
