#!/bin/sh
# git's hook reference-transaction hears of an abort when a branch is deleted, and of a deletion after gc.
#
# Version: Debian 12: git 1:2.39.5-0+deb12u3.
# Guess: prepared and committed, once each, for a change of a reference. Nothing for pack-refs and gc, which
#   change no value.
# Seen: a deletion that succeeds is committed, then aborted, then prepared and committed once more. A gc sets
#   the branch to what it is and then commits its deletion, since its loose file goes. A hook that mirrors what
#   it hears deletes a branch that is there; a hook that counts aborts as failures counts one for each deletion.
# Output: commit --allow-empty -m a: prepared set, committed set,
#         branch topic: prepared set, committed set,
#         branch -d topic: prepared delete, committed delete, aborted delete, prepared delete, committed delete,
#         gc: prepared set, committed set, prepared delete, committed delete,
#         rev-parse --verify main: (status 0)
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    git=1:2.39.5-0+deb12u3 \
    libpcre2-8-0=10.42-1+deb12u2 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu" GIT_EXEC_PATH="$work/root/usr/lib/git-core"
export HOME="$work" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
git() { root/usr/bin/git -C repository "$@" >/dev/null 2>&1; }
mkdir repository
git init --initial-branch=main --template=
mkdir repository/.git/hooks
cat >repository/.git/hooks/reference-transaction <<'S'
#!/bin/sh
while read -r old new name; do
    case $name:$new in
    HEAD:*) ;;
    *:*[!0]*) printf ' %s set,' "$1" ;;
    *) printf ' %s delete,' "$1" ;;
    esac
done >>../calls
S
chmod +x repository/.git/hooks/reference-transaction
for command in 'commit --allow-empty -m a' 'branch topic' 'branch -d topic' gc 'rev-parse --verify main'; do
    : >calls
    status=0
    # shellcheck disable=SC2086 # words
    git $command || status=$?
    calls=$(cat calls)
    echo "$command:${calls:- (status $status)}"
done >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
