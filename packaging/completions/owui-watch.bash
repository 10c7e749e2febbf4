# Completes commands, flags and the ids of the project's plugins. The program itself knows them, and says how to ask.
eval "$(COMPLETE=bash owui-watch)"
