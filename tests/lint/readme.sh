#!/bin/sh
# What the pages name is there: functions and keys (`word_word`) somewhere in the tree, files (`word.c`, `folder/word.h`)
# in the folder of the page or at that path.
cd "$(dirname "$0")/../.." || exit 1
bad=0
folders='common worker ps launch tests configs'
files=$(find $folders -type f)
for page in $(find common worker ps launch .github -name '*.md' ! -name STYLE.md | sort); do
    folder=$(dirname "$page")
    for name in $(grep -oE '`[a-z][a-z0-9]*(_[a-z0-9]+)+`' "$page" | tr -d '`' | sort -u); do
        [ -e "$folder/$name.c" ] || [ -e "$folder/$name.h" ] ||
            grep -rqw --include='*.[ch]' --include='*.py' --include='*.sh' -e "$name" $folders ||
            { echo "$page: there is no $name"; bad=1; }
    done
    for name in $(grep -oE '`[a-z][a-z0-9_/]*\.(c|h|sh|py|txt|md)`' "$page" | tr -d '`' | sort -u); do
        echo "$files" | grep -qxF -e "$folder/$name" -e "$name" -e "common/$name" ||
            echo "$files" | grep -qE "^$folder/.*/$name\$" || { echo "$page: there is no file $name"; bad=1; }
    done
done
# The exit codes, which the manual pages say too.
of_readme=$(sed -n '/^| exit /,/^$/s/^| \([0-9][0-9, ]*\) | \(.*\) |$/\1 \2/p' README.md | tr -d '`')
of_pages=$(sed -n '/codes\[\]\[2\]/,/};/p' common/config/roff.c | tr -d '\n' | sed 's/"  *"//g' | grep -o '{ "[^}]*" }' |
    sed 's/^{ "\(.*\)", "\(.*\)" }$/\1 \2/')
[ -n "$of_readme" ] && [ "$of_readme" = "$of_pages" ] ||
    { echo "README.md, common/config/roff.c: not the same exit codes"; bad=1; }
exit $bad
