#!/bin/sh
# Sealpost install file of the computer @NAME@, made @MADE@ by the server @SERVER@.
# It holds a secret: whoever has it can be that computer. A file that was changed cannot check itself, so check it before it
# runs, with its signature beside it:
#   minisign -V -P @KEY@ -m FILE
# A shell reads all up to the last brace before it does anything: neither a file that is cut short nor one that is written over
# while it waits does half of something, or something else.
{
set -eu
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
name='@NAME@'
platform='@PLATFORM@'
not_before=@NOT_BEFORE@
payload_at=@PAYLOAD_AT@
whole=@WHOLE@

fail() {
  printf 'install file of %s: %s\n' "$name" "$*" >&2
  exit 1
}

usage() {
  cat <<END
Install the Sealpost agent on the computer $name, enroll it and start its service.

Usage: sh FILE [--dry-run] [--uninstall] [--json]

  --dry-run    change nothing, and say what would be done
  --uninstall  stop the service and remove the agent; products and the agent's home stay
  --json       print the steps as JSON

Run it as root. A second run changes nothing. Check the file before it runs: minisign -V -P @KEY@ -m FILE
END
}

looks=
removes=
for option; do
  case $option in
  --dry-run) looks=1 ;;
  --uninstall) removes=1 ;;
  --json) ;;
  --help | -h)
    usage
    exit 0
    ;;
  *) fail "the option $option is not known; see --help" ;;
  esac
done

[ -f "$0" ] || fail 'it has to be run as a file: sh FILE'
packed() { tail -c "+$payload_at" <"$0"; }
# Of several programs in a row a shell hears the last one alone, and tar does not know the sum of all.
check_whole() {
  [ "$(wc -c <"$0")" -eq "$whole" ] && packed | gzip -t 2>/dev/null ||
    fail 'it is not whole, or was changed: copy it again'
}
check_whole
machine=$(uname -m)
case $machine in
i?86) machine=x86 ;;
armv*) machine=arm ;;
ppc64*) machine=powerpc64 ;;
esac
here=$(uname -s | tr 'A-Z' 'a-z')-$machine
[ "$platform" = any ] || [ "$here" = "$platform" ] ||
  fail "it is for $platform, and this computer is $here; make one with: distributor clients setup $name --installer FILE --platform $here"
[ -n "$looks" ] || [ "$(id -u)" -eq 0 ] ||
  fail 'run it as root, or look at what it would do with --dry-run'

work=
trap 'if [ -n "$work" ]; then rm -rf "$work"; fi' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# Unpacks into the first of these folders in which programs may run.
unpack() {
  for parent; do
    if ! [ -d "$parent" ] || ! [ -w "$parent" ]; then continue; fi
    work=$(mktemp -d "$parent/.sealpost-bootstrap.$$.XXXXXX" 2>/dev/null) || { work=; continue; }
    if packed | gzip -dc 2>/dev/null | tar -xof - -C "$work" 2>/dev/null &&
      "$work/agent-updater" --version >/dev/null 2>&1; then
      return 0
    fi
    rm -rf "$work"
    work=
  done
  return 1
}
temporary=${TMPDIR:-/tmp}
# Whoever can rename a folder that root unpacks into decides what root runs: root uses only /tmp, if it is root's and others cannot
# rename there what is not theirs.
if [ "$(id -u)" -eq 0 ]; then
  temporary=/tmp
  [ -O /tmp ] && [ -k /tmp ] || temporary=/var/lib
fi
# In the temporary folder nothing may be executed on many computers. Who only looks begins with a folder that a restart empties.
if [ -n "$looks" ]; then
  unpack /run /var/lib "$temporary" /usr/local/lib || :
else
  # What a run left that was killed: it holds the code.
  for left in /var/lib/.sealpost-bootstrap.* /run/.sealpost-bootstrap.* /usr/local/lib/.sealpost-bootstrap.* \
    "$temporary"/.sealpost-bootstrap.*; do
    # Where everybody may write, only what is root's own.
    [ -d "$left" ] && ! [ -L "$left" ] && [ -O "$left" ] || continue
    pid=${left##*/.sealpost-bootstrap.}
    pid=${pid%%.*}
    case $pid in '' | *[!0-9]*) continue ;; esac
    kill -0 "$pid" 2>/dev/null || rm -rf "$left"
  done
  unpack /var/lib /run /usr/local/lib "$temporary" || :
fi
[ -n "$work" ] ||
  fail 'it cannot be unpacked and run in /var/lib, /run, /usr/local/lib or the temporary folder: is there room, and may programs run there?'

# Unpacked before: what runs then is what was started, whatever became of the file.
if [ -z "$looks$removes" ] && [ "$(date +%s)" -lt "$not_before" ]; then
  printf 'install file of %s: it waits until %s\n' "$name" '@WAITS_UNTIL@' >&2
  while [ "$(date +%s)" -lt "$not_before" ]; do
    left=$((not_before - $(date +%s)))
    # In short steps: a clock that is set, or a computer that slept, changes how long it is.
    if [ "$left" -gt 30 ]; then sleep 30; else sleep 1; fi
  done
fi

status=0
"$work/agent-updater" install-file --from "$work" "$@" || status=$?
exit "$status"
}
# What follows is packed.
