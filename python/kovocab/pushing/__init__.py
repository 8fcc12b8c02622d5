"""An export to the hub.

In: a folder that export or transfer left. Out: a repository with its files, or a list of what would go there. It never
prints a token, and sends nothing that says where it was made.

push      the verb: looked over, listed, uploaded
contents  what of a folder goes, and what keeps it from going
leaks     paths of this machine and secrets in a text
hub_api   what the hub answers, in a line
"""
