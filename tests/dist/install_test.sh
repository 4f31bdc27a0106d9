#!/bin/bash
# What `make install` puts down: programs that run from there, manual pages made from the tables of
# --help, and completion, typed into a bash.
. "$(dirname "$0")/lib.sh"
share=$work/usr/share
make -C "$root" install DESTDIR="$work" PREFIX=/usr >"$work/log" 2>&1 || fail "make install ended with $?"
bin=$work/usr/bin
for p in lora lora_ps lora_worker; do
    "$bin/$p" --version | grep -q "^$p " || fail "$p --version"
    "$bin/$p" -h >"$work/long" && "$bin/$p" --help | cmp -s - "$work/long" || fail "$p -h is not --help"
    [ "$(wc -l <"$work/long")" -le 24 ] || fail "$p --help is longer than a screen"
done
for script in setup hosts; do
    "$root/launch/$script" -h | grep -q "HOSTFILE\|usage" || fail "launch/$script -h"
done
commands=$("$bin/lora" --help=words | grep -vE '^(help|--.*)$')
[ "$(wc -w <<<"$commands")" -ge 20 ] || fail "lora --help=words lists no commands"
"$bin/lora" --help >"$work/long"
for c in $commands; do
    grep -qw -- "$c" "$work/long" || fail "lora --help does not say $c"
done

# ---- manual pages: every command, option and key, without a fault that mandoc sees

# WORD...: stand in $page as they are
stands() {
    local word
    for word; do
        grep -qF -- "${word//-/\\-}" "$page" || fail "$page does not say $word"
    done
}
page=$share/man/man1/lora.1
for c in $commands; do
    "$bin/lora" $c -h >"$work/long" || fail "lora $c -h"
    "$bin/lora" help $c | cmp -s - "$work/long" || fail "lora help $c is not lora $c -h"
    [ "$(wc -l <"$work/long")" -le 24 ] || fail "lora $c --help is longer than a screen"
    stands "lora $c" $(sed -n 's/^  \(--[a-z_-]*\).*/\1/p' "$work/long")
done
for p in lora_ps lora_worker; do
    page=$share/man/man1/$p.1
    stands $("$bin/$p" --help | sed -n 's/^  \(--[a-z_-]*\).*/\1/p')
done
page=$share/man/man5/run.yaml.5
stands $("$bin/lora" train --help=keys | sed -n '/^other/,$d; s/^  \([a-z][a-z_.]*\) .*/\1/p')
stands $("$bin/lora" train --help=names | awk '/^  / && $3 != "works" { print $1 }')
for page in "$share"/man/man?/*; do
    if command -v mandoc >/dev/null; then
        # a page has no date: it is made when it is installed
        ! mandoc -T lint -W warning "$page" 2>&1 | grep -v "missing date" | grep . >"$work/log" || fail "$page"
    fi
    if command -v man >/dev/null; then
        MANROFFOPT=-ww LC_ALL=C man --warnings -l "$page" 2>"$work/log" | grep -q "SEE ALSO" || fail "man does not show $page"
        [ ! -s "$work/log" ] || fail "man warns of $page"
    fi
done

# ---- completion: what a bash makes of a TAB

mkdir -p "$work/place/folder" && touch "$work/place/my run.yaml" "$work/place/folder/x"
PATH=$bin:$PATH python3 - "$share/bash-completion/completions" "$work/place" <<'EOF' >"$work/log" 2>&1 || fail "completion"
import os, pty, select, sys, time

def start():
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(PS1="", HOME=sys.argv[2], INPUTRC="/dev/null", TERM="dumb")
        os.chdir(sys.argv[2])
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    return terminal

def read_until(terminal, mark, seconds=20):
    text, end = b"", time.time() + seconds
    while mark not in text:
        if not select.select([terminal], [], [], max(0, end - time.time()))[0]:
            raise SystemExit(f"waited in vain for {mark!r}: {text!r}")
        text += os.read(terminal, 4096)
    return text

terminal = start()
os.write(terminal, f"bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; stty -echo; . {sys.argv[1]}/lora; "
                   "show() { printf '<%s>' \"$@\"; echo END; }; complete -F _lora_complete show_lora; echo REA''DY\n".encode())
read_until(terminal, b"READY\r\n")
# typed -> the words that a command would get; the line begins with lora, which then only shows its words
os.write(terminal, b"real=$(type -P lora); lora() { if [ \"$2\" = --help=words ] || [ \"$1\" = --help=words ]; then $real \"$@\"; "
                   b"else show \"$@\"; fi; }; echo REA''DY\n")
read_until(terminal, b"READY\r\n")
cases = [
    ("lora tr\t", "<train>"),
    ("lora sch\t", "<schema>"),
    ("lora train my\t", "<train><my run.yaml>"),
    ("lora train --ov\t", "<train><--overwrite>"),
    ("lora train --lora.lora_a\t16", "<train><--lora.lora_alpha=16>"),
    ("lora train --task_type=TOK\t", "<train><--task_type=TOKEN_CLS>"),
    ("lora train --data.shuffle=f\t", "<train><--data.shuffle=false>"),
    ("lora train --train.lr_scheduler_type=cos\t", "<train><--train.lr_scheduler_type=cosine>"),
    ("lora train --train.evaluation_s\tno", "<train><--train.evaluation_strategy=no>"),
    ("lora predict --adapter=fo\t", "<predict><--adapter=folder/>"),
    ("lora train --data.train=x,fo\t/x", "<train><--data.train=x,folder/x>"),
]
bad = 0
for typed, want in cases:
    os.write(terminal, (typed + "\n").encode())
    got = read_until(terminal, b"END\r\n").decode().split("END")[0].split("\n")[-1].replace("\r", "")
    print(repr(typed), "->", got)
    if not got.endswith(want):
        bad += 1
        print("  wanted", want)
sys.exit(bad > 0)
EOF
