"""Many launches of one case held against themselves: how often would a verdict be wrong?"""
