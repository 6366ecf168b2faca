"""The fixed texts that a host's /bin/sh is given to run a command apart from its connection.

They hold nothing of any command: everything comes as words (`$1`, `$2`, ...). They use what POSIX
has, and of GNU, busybox and toybox alike `head -c`, `setsid`, `base64` and sleeps of a fraction.
Output is kept by `cat` under a limit for the size of a file: it writes at once what it has read,
where `head -c` would hold it back.

A marker folder, FOLDER/EFFECT, holds:

    pid       "PID START BOOT" of the keeper; its one hard link is the beginning, so of two keepers
              (or of a keeper and somebody who has given it up) exactly one wins
    child     "PID START" of the command itself
    out, err  the beginning of what it printed; out.end, err.end: the end, where that was more
    cut       there when one of them was longer
    late      there when its time was up and it was told to end
    rc        its exit code, there at once and whole when it has ended
"""

from typing import Final

HEADER: Final = "healthd-marker 1"

_COMMON: Final = r"""
mask=$(umask)
umask 077
LC_ALL=C
export LC_ALL
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
start_of() {
  line=$(cat "/proc/$1/stat" 2>/dev/null) || { echo gone; return; }
  set -- ${line##*) }
  case $1 in Z|X) echo gone ;; *) echo "${20}" ;; esac
}
nap() { sleep 0.1 2>/dev/null || sleep 1; }
"""

RUN: Final = (
    _COMMON
    + r"""
m=$1 stdin=$2 limit=$3 grace=$4 max=$5 end=$6 mask=$7
shift 7
input=
if [ "$stdin" = 1 ]; then
  ulimit -c 0
  IFS= read -r input || exit 1
fi
me="$$ $(start_of $$) $boot"
echo "$me" > "$m/pid.$$" || exit 1
[ "$(cat "$m/pid.$$")" = "$me" ] || exit 1
ln "$m/pid.$$" "$m/pid" || exit 1
rm -f "$m/pid.$$"
keep() {
  (
    ulimit -c 0
    trap '' XFSZ
    ulimit -f $((max / 512))
    exec cat > "$m/$1"
  ) || : > "$m/cut"
  tail -c "$end" > "$m/$1.end"
  cat > /dev/null
  rm -f "$m/$1.pipe"
}
keep out < "$m/out.pipe" &
keep err < "$m/err.pipe" &
if [ "$stdin" = 1 ]; then
  printf '%s' "$input" | base64 -d |
    (umask "$mask"; exec setsid "$@") > "$m/out.pipe" 2> "$m/err.pipe" &
else
  (umask "$mask"; exec setsid "$@") < /dev/null > "$m/out.pipe" 2> "$m/err.pipe" &
fi
child=$!
input=
echo "$child $(start_of $child)" > "$m/child"
setsid sh -c '
  sleep "$2"
  : > "$4/late"
  kill -s TERM -- -"$1"
  [ "$3" -gt 0 ] || exit 0
  sleep "$3"
  kill -s KILL -- -"$1"
' watch "$child" "$limit" "$grace" "$m" < /dev/null > /dev/null 2>&1 &
watch=$!
wait "$child"
rc=$?
kill -s TERM -- -"$watch" 2>/dev/null
i=0
while [ $i -lt 10 ] && { [ -p "$m/out.pipe" ] || [ -p "$m/err.pipe" ]; }; do
  nap
  i=$((i + 1))
done
echo "$rc" 1<> "$m/rc.new"
mv "$m/rc.new" "$m/rc"
"""
)
"""The keeper: `$1` marker, `$2` whether there is input (one line of base64), `$3` seconds until
it is told to end, `$4` seconds until it is killed (0: never), `$5` bytes kept of each stream, `$6`
bytes of its end, `$7` the mask that the command gets; then the words."""

_OBSERVE: Final = r"""
say() {
  echo "healthd-marker 1 $1 boot=$boot rc=$2 late=$late out=$3 err=$4 cut=$cut $5"
}
runs() {
  now=$(start_of "$1")
  [ "$now" != gone ] && [ "$now" = "$2" ]
}
look() {
  rc= out=0 err=0 late=0 cut=0
  if ! [ -d "$m" ]; then state=none; return; fi
  [ -e "$m/late" ] && late=1
  if [ -f "$m/rc" ]; then read -r rc rest < "$m/rc"; state=ended; return; fi
  if ! [ -f "$m/pid" ]; then state=beginning; return; fi
  read -r pid since at < "$m/pid"
  if [ "$pid" = void ]; then state=none; return; fi
  if [ "$at" != "$boot" ]; then state=booted; return; fi
  if runs "$pid" "$since"; then state=running; return; fi
  if [ -f "$m/rc" ]; then read -r rc rest < "$m/rc"; state=ended; return; fi
  state=gone
  if [ -s "$m/child" ]; then
    read -r pid since < "$m/child"
    if runs "$pid" "$since"; then state=orphan; fi
  fi
}
await() {
  i=0
  while look; [ "$state" = beginning ] && [ $i -lt 50 ] ||
        { [ "$state" = running ] && [ $i -lt "$patience" ]; }; do
    nap
    i=$((i + 1))
  done
}
observe() {
  await
  if [ "$state" = beginning ]; then
    echo "void" > "$m/void.$$" && ln "$m/void.$$" "$m/pid" 2>/dev/null
    rm -f "$m/void.$$"
    await
  fi
  case $state in none|beginning) say "$state" "" 0 0; return ;; esac
  out=$(wc -l < "$m/out") err=$(wc -l < "$m/err")
  [ -e "$m/cut" ] && cut=1
  say "$state" "$rc" $((out)) $((err)) \
    "shownout=$(lines_of out "$3" "$out") shownerr=$(lines_of err "$4" "$err")"
  echo "healthd-marker 1" >&2
  show out "$3" "$out"
  show err "$4" "$err" >&2
}
piece() {
  [ "$3" -lt "$2" ] || tail -n +"$2" "$m/$1" | head -n $(($3 - $2 + 1)) | head -c "$most"
}
lines_of() {
  lines=$(piece "$@" | wc -l)
  # Of a line that is longer than an answer there is only the beginning to be shown.
  [ $((lines)) -gt 0 ] || [ "$3" -lt "$2" ] || lines=1
  echo $((lines))
}
show() {
  if [ "$state" != running ] && [ "$state" != orphan ]; then
    tail -n +"$2" "$m/$1" | tail -c "$most"
    [ -s "$m/$1.end" ] && { printf '\n[...]\n'; cat "$m/$1.end"; }
  else
    piece "$@"
  fi
}
"""

OBSERVE: Final = (
    _COMMON
    + _OBSERVE
    + r"""
cd 2>/dev/null
m=$1/$2 most=$5 patience=$6
observe "$@"
"""
)
"""Says what became of a command: `$1` folder, `$2` effect, `$3` and `$4` the lines of `out` and
`err` to begin with (from 1), `$5` bytes at most of each, `$6` tenths of seconds to wait for it."""

LAUNCH: Final = (
    _COMMON
    + _OBSERVE
    + r"""
refuse() { echo "healthd-marker 1 refused boot=$boot why=$(echo "$1" | tr '\n' ' ')"; exit 0; }
run=$1 base=$2 id=$3 stdin=$4 limit=$5 grace=$6 max=$7 end=$8 most=$9
shift 9
patience=$1 count=$2 days=$3
shift 3
input=
if [ "$stdin" = 1 ]; then
  ulimit -c 0
  IFS= read -r input || refuse "the input did not arrive as a whole"
  command -v base64 > /dev/null || refuse "the host has no program base64"
fi
command -v setsid > /dev/null || refuse "the host has no program setsid (package util-linux)"
cd 2>/dev/null || refuse "the user has no home folder"
why=$(mkdir -p "$base" 2>&1) || refuse "$why"
m=$base/$id
prepare() {
  # Through cat, which says why it cannot write; what a shell itself says is not always that.
  echo "                                " | cat > "$m/rc.new" && [ -s "$m/rc.new" ] &&
  : > "$m/out" && : > "$m/err" && : > "$m/out.end" && : > "$m/err.end" && : > "$m/child" &&
  mkfifo "$m/out.pipe" "$m/err.pipe"
}
tidy() {
  {
    ls -1t "$base" | tail -n +"$((count + 1))"
    (cd "$base" && find . -mindepth 1 -maxdepth 1 -type d -mtime +"$days")
  } | while IFS= read -r old; do
    m=$base/${old#./}
    [ "$(find "$m" -prune -mmin +60)" ] || continue
    look
    case $state in ended|booted|gone|none) rm -rf "$m" ;; esac
  done
}
if [ -f "$m/pid" ] && [ "$(cat "$m/pid")" = void ]; then rm -rf "$m"; fi
if why=$(mkdir "$m" 2>&1); then
  if ! why=$(prepare 2>&1); then rm -rf "$m"; refuse "$why"; fi
  printf '%s\n' "$input" | setsid sh -c "$run" healthd-run \
    "$m" "$stdin" "$limit" "$grace" "$max" "$end" "$mask" "$@" > /dev/null 2>&1 &
  input=
  # Only markers that are an hour old and of commands that have ended are ever taken away.
  (tidy) > /dev/null 2>&1
elif ! [ -d "$m" ]; then
  refuse "$why"
fi
observe - - 1 1
"""
)
"""Begins a command unless its marker is there, and says what became of it so far: `$1` the keeper,
`$2` folder, `$3` effect, `$4` to `$8` as `$2` to `$6` of the keeper, `$9` and on: bytes to show at
most, tenths of seconds to wait for it, how many markers are kept, days after which old ones go;
then the words."""

WIPE: Final = r"""
cd 2>/dev/null
for each in out err out.end err.end; do
  [ -s "$1/$2/$each" ] && : > "$1/$2/$each"
done
[ ! -s "$1/$2/out" ] && [ ! -s "$1/$2/err" ]
"""
"""Empties what a command that has ended has printed: `$1` folder, `$2` effect."""
