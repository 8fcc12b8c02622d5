"""The street on a small example.

In: nothing, or a person's own text. Out: sample text of any size, the same everywhere, and every verb run on it. It
never holds text of others: nobody wrote it.

quickstart  every verb, run as a person would
bases       the models that it begins with
text        sample text, of any size
korean      Korean sentences
english     English sentences
words       the word lists they are drawn from
"""
