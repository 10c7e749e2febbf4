# Makes systemd/owui-watch.service the unit of a package, whose program is in /usr/bin.
s|%h/\.cargo/bin/|/usr/bin/|
s|Install the program to ~/\.cargo/bin, from a clone:|The program is in /usr/bin.|
/cargo install --locked/d
s|cp systemd/owui-watch\.service |cp /usr/lib/systemd/user/owui-watch.service |
