"""The command.

In: flags and files of settings. Out: a verb run, and an exit code that a script can go by. It never works anything out,
and loads nothing that the verb at hand does not need.

main              the verb named, errors as one line
verbs_of_text     count, combine, pack: functions with the settings they take
verbs_of_tokens   refine, thresholds, curate, replace
verbs_of_models   expand, export, transfer, push
verbs_of_figures  evaluate, report
beside            the verbs beside the street: sample, doctor, quickstart
arguments         a verb's settings from flags and files
completion        what shells complete by
presets           a file for the whole street, of which each verb reads its part
"""
