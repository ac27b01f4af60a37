"""Models of groups of similar patches, which refine a first estimate."""
