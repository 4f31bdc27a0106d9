# One type has one name: no two files of the programs make a type of the same name. Declaring a struct of the folder
# again (typedef struct X X;) makes none.
function named(type, whole, folder)
{
    sub(/;.*/, "", type)
    folder = FILENAME
    sub(/\/[^\/]*$/, "", folder)
    if ((type in seen) && seen[type] != FILENAME && (folder != at[type] || (whole && made[type]))) {
        print FILENAME ":" FNR ": '" type "' is a type of " seen[type] " too"
        bad = 1
    }
    seen[type] = FILENAME
    at[type] = folder
    made[type] = made[type] || whole
}
FNR == 1 { open = 0 }
/^typedef struct [A-Z][A-Za-z0-9]* [A-Z][A-Za-z0-9]*;/ { named($4, 0) }
/^typedef (struct|enum|union).*\{$/ { open = 1 }
open && /^\} [A-Z][A-Za-z0-9]*;/ { named($2, 1); open = 0 }
/^typedef (struct|enum|union).*\} [A-Z][A-Za-z0-9]*;/ { named($NF, 1) }
END { exit bad }
