"""What a model makes of text that it was not trained on.

In: models, or a run's folder, and held-out text. Out: bits a byte by source and script, samples, and what a model has
not learned of its new tokens. It never trains, and measures all models on the same documents.

evaluate    the verb: a run's models, or any; what is kept of it
measure     models side by side: an evaluation
runs        what of a run there is to measure
subject     a model with its tokenizer, and what it is given before a text
scoring     what a model gives each token
generation  how a model goes on from a prompt
unlearned   new tokens that a model has not learned
trained     how often a run trained on each new token
tasks       models handed over to lm_eval
"""
