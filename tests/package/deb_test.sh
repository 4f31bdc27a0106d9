#!/bin/bash
# `make deb`: what is in the package, and, as root where debootstrap is, whether it installs in a clean Debian
# with all that it needs: `lora doctor`, the demo and the manual pages there. ROOT=FOLDER keeps that Debian, or
# takes one that is there already.
. "$(dirname "$0")/../dist/lib.sh"
export DEBFULLNAME="A Packager" DEBEMAIL=packager@debian.org
make -C "$root" deb >"$work/log" 2>&1 || fail "make deb ended with $?"
deb=$root/$(sed -n 's/^deb: \([^;]*\);.*/\1/p' "$work/log")
[ -f "$deb" ] || fail "make deb does not say where the package is"

# ---- what is in it

dpkg-deb -c "$deb" >"$work/list"
for f in bin/lora bin/lora_ps bin/lora_worker share/man/man1/lora.1.gz share/man/man1/lora_ps.1.gz \
    share/man/man1/lora_worker.1.gz share/man/man5/run.yaml.5.gz share/bash-completion/completions/lora \
    share/doc/lora/copyright share/lora/launch/demo share/lora/launch/hosts share/lora/launch/slurm/lora.sbatch share/lora/launch/slurm/sweep.sbatch \
    share/lora/configs/demo.yaml; do
    grep -q " \./usr/$f$" "$work/list" || fail "the package has no $f"
done
! grep -v ' \./\(usr/.*\)\?$\| -> ' "$work/list" | grep . || fail "it writes outside of /usr"
! awk '$2 != "root/root"' "$work/list" | grep . || fail "files of another owner"
depends=$(dpkg-deb -f "$deb" Depends)
for p in openmpi-bin 'libopenblas0-openmp | libopenblas0' libopenmpi3 libzmq5 libjansson4; do
    [[ $depends = *"$p"* ]] || fail "it does not depend on $p: $depends"
done
[ "$(dpkg-deb -f "$deb" Version)" = "$("$root/bin/lora" --version | sed -n 's/^lora //p')" ] || fail "another version"
if command -v lintian >/dev/null; then
    lintian --allow-root --fail-on error,warning "$deb" >"$work/log" 2>&1 || fail "lintian"
fi

# ---- a clean Debian

[ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null || skip "the installation: needs root and debootstrap"
clean=${ROOT:-$work/debian}
mirror=$(sed -n 's/^URIs: //p; s/^deb \(\[.*\] \)\?\(http[^ ]*\).*/\2/p' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
lap() { echo "  $1: $((SECONDS - began)) s"; began=$SECONDS; }
began=$SECONDS
if [ ! -x "$clean/usr/bin/apt-get" ]; then
    debootstrap --variant=minbase "$suite" "$clean" $mirror >"$work/log" 2>&1 || fail "debootstrap"
    lap "debootstrap"
fi
cp "$deb" "$clean/tmp/lora.deb"
cp /etc/resolv.conf "$clean/etc/resolv.conf"
# PyPI as this machine reaches it
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$clean/root/host.crt"
python3 -m pip config list 2>/dev/null | sed -n "s/^global\.\(cert\|index-url\|proxy\)='\(.*\)'/\1 = \2/p" | sed '1i [global]
s|^cert = .*|cert = /root/host.crt|' >"$clean/etc/pip.conf"
printf '#!/bin/sh\nexit 101\n' >"$clean/usr/sbin/policy-rc.d" # no service is started
chmod +x "$clean/usr/sbin/policy-rc.d"

# COMMAND: by a shell inside, with /proc and a /dev of its own; what it mounts ends with it
inside() {
    unshare --mount --pid --fork --kill-child --uts sh -c '
        mount -t proc proc "$0/proc" && mount -t tmpfs -o mode=755 dev "$0/dev" && mkdir "$0/dev/shm" "$0/dev/pts" &&
        mount -t tmpfs -o mode=1777 shm "$0/dev/shm" && mount -t devpts -o newinstance,ptmxmode=666 pts "$0/dev/pts" || exit 99
        for d in null zero random urandom tty; do touch "$0/dev/$d" && mount --bind "/dev/$d" "$0/dev/$d" || exit 99; done
        ln -s pts/ptmx "$0/dev/ptmx" && ln -s /proc/self/fd "$0/dev/fd"
        hostname clean
        exec chroot "$0" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
            TERM=dumb LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive sh -c "$1"' "$clean" "$1" </dev/null >"$work/log" 2>&1
}
tell() { sed 's/^/    /' "$work/log"; }

inside 'apt-get update -q && apt-get install -q -y --no-install-recommends /tmp/lora.deb' || fail "apt-get install"
lap "apt-get install, with $(grep -c '^Setting up' "$work/log") packages"
inside 'lora --version && lora_ps --version && lora_worker --version' || fail "the programs do not run"
inside 'cd /root && lora doctor' || fail "lora doctor ended with $?"
tell
inside 'lora doctor /usr/share/lora/tests/golden/bert-seqcls/run.yaml --train.output_dir=/root/out' || fail "lora doctor of a run"
lap "lora doctor, twice"
inside 'apt-get install -q -y --no-install-recommends python3 python3-pip man-db bash-completion openssh-client' || fail "apt-get install python3, man"
inside 'cd /root && /usr/share/lora/launch/demo' || fail "the demo"
grep "^demo: accuracy .* before" "$work/log" | sed 's/^/    /'
inside 'test -s /root/runs/demo/adapter_model.safetensors' || fail "the demo leaves no adapter"
lap "demo"
for page in lora lora_ps lora_worker run.yaml; do
    inside "man $page" && grep -q "SEE ALSO" "$work/log" || fail "man $page"
done
inside 'bash -ic ". /usr/share/bash-completion/bash_completion; _completion_loader lora; complete -p lora"' || fail "no completion"
printf 'localhost slots=2\n' >"$clean/root/hosts"
printf '#!/bin/sh\nshift\nexec sh -c "$*"\n' >"$clean/root/rsh" # HOST COMMAND: every host is this one
inside 'chmod +x /root/rsh && cd /root && LORA_ADDRESS=tcp://127.0.0.1:7710 LORA_RSH=/root/rsh /usr/share/lora/launch/hosts hosts \
    /usr/share/lora/tests/golden/bert-seqcls/run.yaml --train.max_steps=2 --train.output_dir=/root/by-hosts' || fail "launch/hosts"
inside 'test -s /root/by-hosts/adapter_model.safetensors' || fail "launch/hosts leaves no adapter"
inside 'apt-get remove -q -y lora && ! ls /usr/share/lora /usr/bin/lora*' || fail "apt-get remove leaves something"
lap "manual pages, completion, launch/hosts, removal"
