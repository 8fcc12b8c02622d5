"""An instruct model that speaks the new tokens, without training.

In: a base, a model adapted from it, and the base's instruct sibling. Out: the adapted model moved by what made the
sibling of the base, with the sibling's chat tokens and template. It never trains, and never holds a whole model.

transfer     the verb: three models held together, one written, block by block
siblings     whether the three are what they are said to be
chat_tokens  the tokenizer of the result: whose ids are whose
sums         its tensors: adapted + scale * (instruct - base)
writing      its files of weights, and config.json
card         its model card
"""
