"""What `import e2r_bench` gives: the commands as functions, and their results as data.

Stable: names and arguments stay within a major version, and CHANGELOG says what is added. The
command line calls these functions, so both give the same numbers.
"""
