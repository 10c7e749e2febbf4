# Completes commands, flags and the ids of the project's plugins. The program itself knows them, and says how to ask.
COMPLETE=fish owui-watch | source
