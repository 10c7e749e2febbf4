# Completes commands, flags and the ids of the project's plugins. The program itself knows them, and says how to ask.
# For a profile of PowerShell: . /path/to/owui-watch.ps1
$env:COMPLETE = "powershell"
owui-watch | Out-String | Invoke-Expression
Remove-Item Env:\COMPLETE
