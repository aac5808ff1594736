"""The ground floor: errors, files, pictures, pairs, draws and weights, each written once.

Every package of the project stands on these; none of them imports anything above.
"""
