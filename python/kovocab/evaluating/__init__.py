"""What a tokenizer makes of text that it was not made from.

In: held-out text, tokenizers. Out: a row a tokenizer, tokens per word, bytes per token and words in few tokens, on the
same text; and the form of an evaluation. It never looks at what made a tokenizer.

evaluate    the verb: tokenizers side by side
fertility   one of them on documents
texts       which documents: the same for all, chosen by their hash
windows     a document as windows of one context
evaluation  evaluation.json, and its tables
form        which keys it has, of which types
places      where a run's model and token files are
settings    how many bytes, where nobody says
compared    a text in the tokens of base and target, side by side
"""
