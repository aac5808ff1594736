"""The report of a run: one page that can be sent to a reviewer, and the same in Markdown."""
