"""From log files to a router, in five commands."""

# %% [markdown]
# # From logs to a router
#
# You have logs of an application that asks language models, and want to know whether routing would pay. No key is
# needed, and nothing is called: a router learns from answers that you have.
#
# The logs here are made up: a help desk whose questions went to two models, kept by three systems. Take yours
# instead. Needs `pip install 'langchain-atlas[local]'`, which brings the encoder.

# %% hidden
import os
import shlex
import subprocess
import sys
import tempfile

os.chdir(tempfile.mkdtemp())


def run(command: str) -> None:
    """Run a command of langchain-atlas, and print what it prints."""
    start = [sys.executable, "-W", "ignore", "-c", "from langchain_atlas.cli import main; main()"]
    given = shlex.split(command)[1:]
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run([*start, *given], env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    print(done.stdout, end="")


# %% [markdown]
# The made-up logs come with the package:

# %%
run("langchain-atlas demo --logs .")

# %% [markdown]
# ## 1. Who answered what
#
# `import` reads a log into an **outcome table**: one row for each answer of a model, with its score and its cost.
# `--map` says which field is which column; the usual names are found. It reports what it could not read, line by
# line.

# %%
run("langchain-atlas import csv helpdesk.csv --map query=question,score=thumbs,domain=topic --out logs.parquet")

# %% [markdown]
# `--add` adds the logs of other systems to the same table: here LangSmith's and LiteLLM's.

# %%
run("langchain-atlas import langsmith langsmith_runs.jsonl --map domain=extra.metadata.topic --out logs.parquet --add")
run("langchain-atlas import litellm litellm_spend_log.json --map domain=request_tags.0 --out logs.parquet --add")

# %% [markdown]
# ## 2. Mark what nobody marked
#
# LiteLLM's log has no thumbs. For its questions the right answers are known, so `score` can mark them:

# %%
run("langchain-atlas score logs.parquet --scorer contains --answers litellm_answers.jsonl --out scored.parquet")

# %% [markdown]
# Where no right answer is known, a judge or agreement can mark: see [Scoring](../scoring.md).
#
# ## 3. Does routing pay?
#
# `doctor` compares the best single model with what a router makes of the same table on questions kept aside:

# %%
run("langchain-atlas doctor --data scored.parquet")

# %% [markdown]
# The verdict is on the first line. Had it said that routing does not pay, you would be done: take the best single
# pair.
#
# ## 4. Fit it
#
# The command is doctor's own. Without `--router` and `--value`, `fit` chooses by itself, and on so few questions it
# keeps to one pair.

# %%
run("langchain-atlas fit --data scored.parquet --router knn --value 0.526 --out router")

# %% [markdown]
# *Kept aside* is the figure to trust: how often the router is right on questions that it was not fitted on.
#
# ## 5. Ask it
#
# `route` decides, and gives its evidence; nothing is called.

# %%
run('langchain-atlas route "What is 17 times 23?" --router router')
run('langchain-atlas route "What is the capital of Mali?" --router router')

# %% [markdown]
# ## Where to go next
#
# - [A router in a graph](router_in_a_graph.md): put it into your code.
# - [You have logs](../logs.md): all thirteen kinds of logs.
# - Was each of your questions answered by one model only? Then the figures are [estimates](../estimates.md).
