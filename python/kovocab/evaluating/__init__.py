"""What a tokenizer makes of text that it was not made from.

In: held-out text, tokenizers. Out: a row a tokenizer, tokens per word and bytes per token, on the same text. It never
looks at what made a tokenizer.

evaluate   the verb: tokenizers side by side
fertility  one of them on documents
"""
