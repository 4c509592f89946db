"""Who can be asked: models, tools, pairs of them, pools of pairs, and the files that pools come in."""
