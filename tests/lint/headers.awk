# Each header of the programs says in its first comment who owns what it hands out (where something is released, freed or
# closed) and which threads may call it.
FNR == 1 { check(); file = FILENAME; threads = owner = gives = 0; first = 1 }
first && /Threads:/ { threads = 1 }
first && /Owner:/ { owner = 1 }
/\*\// { first = 0 }
/_(release|free|close)\(/ { gives = 1 }
function check()
{
    if (file == "") return
    if (!threads) { print file ": its first comment does not say \"Threads:\""; bad = 1 }
    if (gives && !owner) { print file ": its first comment does not say \"Owner:\""; bad = 1 }
}
END { check(); exit bad }
