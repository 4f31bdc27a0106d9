# Holds every #include to tests/lint/layers.txt: the order of the folders, and the one door of each third-party
# header. What layers.txt allows and nobody includes is an error too.
FNR == 1 { file = FILENAME; sub(/^\.\//, "", file) }
FILENAME ~ /layers.txt$/ {
    n = split($0, w)
    if ($1 == "" || $1 ~ /^#/) next
    if ($1 ~ /^@/) for (i = 2; i <= n; i++) door[substr($1, 2)] = door[substr($1, 2)] " " w[i]
    else { known[$1] = 1; for (i = 2; i <= n; i++) may[$1] = may[$1] " " w[i] }
    next
}
# The longest row that the file's path starts with.
function row(path, best, r) {
    best = ""
    for (r in known)
        if (index(path, r) == 1 && (length(path) == length(r) || substr(path, length(r) + 1, 1) == "/") && length(r) > length(best)) best = r
    return best
}
# Whether the path is in one of the list's places; those of `who` are noted as used.
function inside(path, list, who, n, w, i, yes) {
    n = split(list, w, " ")
    yes = 0
    for (i = 1; i <= n; i++)
        if (path == w[i] || index(path, w[i] "/") == 1) { used[who, w[i]] = 1; yes = 1 }
    return yes
}
/^#include </ {
    h = $2; gsub(/[<>]/, "", h)
    if ((h in door) && !inside(file, door[h], "@" h)) { print file ":" FNR ": <" h "> may be included in" door[h] " only"; bad = 1 }
}
/^#include "/ {
    h = $2; gsub(/"/, "", h)
    me = row(file)
    if (me == "") { print file ": its folder has no row in tests/lint/layers.txt"; bad = 1; next }
    rows[me] = 1
    if (index(h, me "/") != 1 && !inside(h, may[me], me) && !inside(h, me, me)) { print file ":" FNR ": " me " may not include " h; bad = 1 }
}
function unused(who, list, n, w, i) {
    n = split(list, w, " ")
    for (i = 1; i <= n; i++)
        if (!((who, w[i]) in used)) { print "tests/lint/layers.txt: " who " " w[i] ": nothing there makes use of it"; bad = 1 }
}
END {
    for (r in known) { unused(r, may[r]); if (!(r in rows)) { print "tests/lint/layers.txt: " r " has no file that includes anything"; bad = 1 } }
    for (h in door) unused("@" h, door[h])
    exit bad
}
