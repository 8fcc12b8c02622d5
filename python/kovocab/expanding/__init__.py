"""A model grown to the target.

In: a model's folder and what `refine` left. Out: the model with a row for each new token; old rows are bit-identical.
It never trains, and never holds a whole model that it only has to carry over.

expand        the verb: grow, write, open again, compare
checks        whether what lies in a folder belongs together, and weights are numbers
new_rows      how new rows are made
row_counts    how many rows, and which counts mean something to others
spelling      new tokens as the base spells them
config_files  config.json and generation_config.json, for old and new readers
special_ids   what those say of special ids
split_rows    embeddings in two blocks, old and new rows
logits        what a model makes of its head's product: scaled, capped
"""
