# Holds every #include to tests/lint/layers.txt: the order of the folders, and
# the one door of each third-party header.
FNR == 1 { file = FILENAME; sub(/^\.\//, "", file) }
FILENAME ~ /layers.txt$/ {
    if ($1 ~ /^@/) { n = split($0, w); for (i = 2; i <= n; i++) door[substr($1, 2)] = door[substr($1, 2)] " " w[i] }
    else if ($1 != "" && $1 !~ /^#/) { n = split($0, w); known[$1] = 1; for (i = 2; i <= n; i++) may[$1] = may[$1] " " w[i] }
    next
}
# The longest row that the file's path starts with.
function row(path, best, r) {
    best = ""
    for (r in known)
        if (index(path, r) == 1 && (length(path) == length(r) || substr(path, length(r) + 1, 1) == "/") && length(r) > length(best)) best = r
    return best
}
function inside(path, list, n, w, i) {
    n = split(list, w, " ")
    for (i = 1; i <= n; i++)
        if (path == w[i] || index(path, w[i] "/") == 1) return 1
    return 0
}
/^#include </ {
    h = $2; gsub(/[<>]/, "", h)
    if ((h in door) && !inside(file, door[h])) { print file ":" FNR ": <" h "> may be included in" door[h] " only"; bad = 1 }
}
/^#include "/ {
    h = $2; gsub(/"/, "", h)
    me = row(file)
    if (me == "") { print file ": its folder has no row in tests/lint/layers.txt"; bad = 1; next }
    if (index(h, me "/") != 1 && !inside(h, may[me]) && !inside(h, me)) { print file ":" FNR ": " me " may not include " h; bad = 1 }
}
END { exit bad }
