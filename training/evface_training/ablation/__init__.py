"""The method's ablation: every part of it taken away or added, trained and judged alike.

plan ─▶ trainings, each from the checkpoints of others ─▶ judge on the same moments ─▶ table, plot
"""
