"""The command.

In: flags and files of settings. Out: a verb run, and an exit code that a script can go by. It never works anything out,
and loads nothing that the verb at hand does not need.

main       the verb named, errors as one line
verbs      the verbs, as functions with the settings they take
beside     the verbs beside the street: push, doctor, completion
arguments  a verb's settings from flags and files
completion  what shells complete by
presets    a file for the whole street, of which each verb reads its part
"""
