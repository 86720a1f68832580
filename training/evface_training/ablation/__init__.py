"""The ablation study: parts of the method are removed or added, all networks trained alike.

plan ─▶ trainings, some from checkpoints of others ─▶ evaluation on the same clips ─▶ table, plot
"""
