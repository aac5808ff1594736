"""Restorers, the seam they stand behind, and the degradations they undo.

Imports none of the other packages of this project.
"""
