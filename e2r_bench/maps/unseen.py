"""What the maps were measured not to see, in sentences for whoever looks at them."""

UNSEEN = (
    "Halos and other overdone detail stand in the invented map, never in the lost one (AUROC .11 "
    "to .18 there): where contrast was raised nothing is lost.",
    "Without truth noise hides: in a denoised output of sigma 50, moire of 8 levels, JPEG's "
    "blocks, faint letters and a turn by 4 degrees are found hardly better than by chance, or not "
    "at all (AUROC .42 to .57), moire not even in a perfect output (.48); at sigma 25, moire and "
    "turns hardly (.56 and .57).",
    "A local error is looked for beside the restorer's own: in an output that errs all over, each "
    "of them is harder to find, with truth too (JPEG's blocks .74, a turn .79, faint letters .80).",
)
"""Measured on CBSD68, one crop of each picture: results/maps/kinds.md."""
