"""A folder for the hub.

In: a finished stage. Out: a folder that AutoModelForCausalLM and AutoTokenizer open, compared with the stage before it
takes its name. It never says in the card what is not in a record.

export  the verb: write, open again, compare
card    the model card, filled from the records
metadata  what the hub reads: the YAML at the card's head, and records without paths
tables  tables of Markdown
measured  what it says of a stage that was measured
languages  what it says of the script of new tokens
"""
