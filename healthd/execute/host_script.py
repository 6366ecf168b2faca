"""The one question that healthd asks a host about itself: a POSIX shell script that only reads.

It is given to `sh -c` as a word of its own, runs as the SSH user without sudo, writes nothing, and
prints tab-separated facts. Of a broker's configuration only the keys of `_KEYS` leave the host:
passwords that stand beside them are never read out.
"""

from typing import Final

MARK: Final = "healthd-facts"
"""The first and the last word of an answer that is whole."""
MAIN_CLASSES: Final = (
    "kafka.Kafka",
    "kafka.docker.KafkaDockerWrapper",
    "io.confluent.support.metrics.SupportedKafka",
    "org.apache.zookeeper.server.quorum.QuorumPeerMain",
    "org.apache.zookeeper.server.ZooKeeperServerMain",
)
"""What names a process of ours on its command line."""
MAX_PROCESSES: Final = 64
MAX_LISTENERS: Final = 500
REBOOT_SECONDS: Final = 20
"""So long a package manager may think about whether a reboot is due."""

_KEYS: Final = (
    "node.id broker.id process.roles log.dirs log.dir metadata.log.dir listeners "
    "advertised.listeners dataDir cluster.id"
)

_PROGRAM: Final = r"""
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin; export PATH
tab=$(printf '\t')
say() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4"; }

# The last value of each wanted key of a properties file on stdin, one "key value" a line.
properties() {
  awk -v wanted="@KEYS@" '
    BEGIN { n = split(wanted, list, " "); for (i = 1; i <= n; i++) take[list[i]] = 1 }
    { sub(/\r$/, ""); sub(/^[ \t\f]+/, ""); line = held $0; held = "" }
    line ~ /^[#!]/ || line == "" { next }
    { bare = line; sub(/\\*$/, "", bare)
      if ((length(line) - length(bare)) % 2) { held = substr(line, 1, length(line) - 1); next }
      at = match(line, /[=: \t]/)
      key = at ? substr(line, 1, at - 1) : line
      value = at ? substr(line, at) : ""
      sub(/^[ \t]*[=:]?[ \t]*/, "", value); sub(/[ \t]+$/, "", value)
      if (key in take) { if (!(key in found)) order[++many] = key; found[key] = value } }
    END { for (i = 1; i <= many; i++) print order[i] " " found[order[i]] }'
}

# A process that runs Kafka or ZooKeeper: its main class, its file, and overrides.
words_of() {
  { tr '\000\n' '\n ' <"/proc/$1/cmdline"; } 2>/dev/null | awk -v mains="@MAINS@" '
    BEGIN { n = split(mains, list, " "); for (i = 1; i <= n; i++) known[list[i]] = 1 }
    main == "" { name = $0; sub(/^.*\//, "", name)
                 if ($0 in known) { main = $0; print "main " $0 }
                 else if (NR == 1 && name in known) { main = name; print "main " name }
                 next }
    wanted { wanted = 0; print "override " $0; next }
    $0 == "--override" { wanted = 1; next }
    sub(/^--override=/, "") { print "override " $0; next }
    !/^-/ && $0 != "start" && file == "" { file = $0; print "file " $0 }'
}

folder() { # PID FOLDER ROOT
  if [ -r "$3$2/meta.properties" ]; then
    properties <"$3$2/meta.properties" |
      while read -r key value; do say meta "$1" "$2" "$key=$value"; done
  elif [ -r "$3$2/myid" ]; then
    read -r id <"$3$2/myid"; say meta "$1" "$2" "node.id=$id"
  elif [ -r "$3$2" ] && [ -x "$3$2" ]; then say meta "$1" "$2" missing
  else say meta "$1" "$2" unreadable
  fi
  [ "$mode" = identity ] || [ -n "$disks" ] || disk "$2" "$3$2"
}

disk() { # NAME PATH
  df -Pk -- "$2" 2>/dev/null |
    awk -v name="$1" 'NR > 1 { print "disk\t" name "\t" $2 "\t" $4; exit }'
}

process() { # PID WORDS
  main= path= more= uid= parent= node=
  while IFS= read -r line; do
    case $line in
      'main '*) main=${line#main } ;;
      'file '*) path=${line#file } ;;
      'override '*) more="$more${line#override }$newline" ;;
    esac
  done <<END
$2
END
  if [ -z "$main" ]; then
    [ "$1" = "$pid" ] && [ -d "/proc/$1" ] && read -r name <"/proc/$1/comm" &&
      say process "$1" other "$name"
    return
  fi
  while read -r key value _; do
    case $key in Uid:) uid=$value; break ;; PPid:) parent=$value ;; esac
  done 2>/dev/null <"/proc/$1/status"
  say process "$1" main "$main"
  say process "$1" uid "$uid"
  say process "$1" ppid "$parent"
  root="/proc/$1/root"; [ -r "$root/" ] || root=
  case $path in
    /*) ;;
    ?*) here=$(readlink "/proc/$1/cwd" 2>/dev/null); [ -n "$here" ] && path=$here/$path ;;
  esac
  say process "$1" file "$path"
  case $path in /*) [ -r "$root$path" ] || path= ;; *) path= ;; esac
  if [ -z "$path" ]; then say process "$1" unreadable file; return; fi
  found=$({ cat -- "$root$path"; printf '\n%s' "$more"; } | properties)
  dirs= dir= data= extra=
  while read -r key value; do
    [ -n "$key" ] || continue
    say process "$1" "$key" "$value"
    case $key in
      node.id) node=$value ;;
      broker.id) [ -n "$node" ] || node=$value ;;
      log.dirs) dirs=$value ;;
      log.dir) dir=$value ;;
      dataDir) data=$value ;;
      metadata.log.dir) extra=$value ;;
    esac
  done <<END
$found
END
  [ "$1" != "$pid" ] || own=$node
  # Right before a stop, whoever has another id is no second one: its directories are left alone.
  if [ "$mode" = identity ] && [ -n "$own" ] && [ -n "$node" ]; then
    [ "$node" = "$own" ] || return
  fi
  dirs=${dirs:-${dir:-${data:-/tmp/kafka-logs}}}
  before=$IFS; IFS=,; set -f
  set -- "$1" $dirs $extra
  set +f; IFS=$before
  number=$1 done=,; shift
  for each in "$@"; do
    while :; do case $each in ' '*) each=${each# } ;; *' ') each=${each% } ;; *) break ;; esac; done
    case $done in *",$each,"*) continue ;; esac
    done="$done$each,"
    case $each in /*) folder "$number" "$each" "$root" ;; esac
  done
}

others() {
  many=0
  for other in $(grep -lE 'kafka|zookeeper' /proc/[0-9]*/cmdline 2>/dev/null); do
    other=${other#/proc/}; other=${other%/cmdline}
    [ "$other" != "$pid" ] && [ "$other" != $$ ] || continue
    words=$(words_of "$other")
    case $words in main*) ;; *) continue ;; esac
    many=$((many + 1)); [ "$many" -le @MAX_PROCESSES@ ] || break
    ( [ "$mode" = identity ] || disks=no; process "$other" "$words" )
  done
}

listening() { # PID
  cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null | awk '
    $4 == "0A" && ++many <= @MAX_LISTENERS@ {
      port = $2; sub(/^.*:/, "", port); print "listen\t" port "\t" $8 "\t" }' | sort -u
}

host() {
  say host user "$(id -un)" "$(id -u)"
  can=read-only; [ -w "${HOME:-/nonexistent}" ] && can=writable
  say host home "$HOME" "$can"
  read -r boot </proc/sys/kernel/random/boot_id 2>/dev/null && say host boot "$boot" ''
  disk / /
  # Packages are kept in /var, kernels in /boot, markers of steps at home.
  for each in /boot /var /home; do
    df -Pk -- "$each" 2>/dev/null |
      awk -v name="$each" 'NR > 1 && $6 == name { print "disk\t" name "\t" $2 "\t" $4; exit }'
  done
  for each in /run/reboot-required /var/run/reboot-required; do
    [ -e "$each" ] || continue
    say host reboot "$each" "$(sort -u "$each.pkgs" 2>/dev/null | tr '\n' ' ')"; return
  done
  limit=; command -v timeout >/dev/null 2>&1 && limit='timeout @REBOOT_SECONDS@'
  ask='dnf -q needs-restarting'
  command -v needs-restarting >/dev/null 2>&1 && ask=needs-restarting
  # It ends with 1 when a reboot is due, and when anything is wrong with it as well.
  case $(LC_ALL=C $limit $ask -r 2>/dev/null) in
    *'Reboot is required'*) say host reboot needs-restarting '' ;;
    *'Reboot should not be'*|*'Reboot is probably not'*) ;;
    *) is_like_red_hat && say host untold "$ask" '' ;;
  esac
}

is_like_red_hat() {
  told=$(sed -n 's/^ID=//p; s/^ID_LIKE=//p' /etc/os-release 2>/dev/null | tr '"\n' '  ')
  case " $told " in *' rhel '*|*' fedora '*|*' centos '*|*' amzn '*) return 0 ;; esac
  return 1
}

newline='
'
mode=$1 pid=$2 own= disks=
say @MARK@ begin 1 "$(date +%s.%N)"
[ -r /proc/self/cmdline ] || { say host noproc '' ''; say @MARK@ end '' ''; exit 0; }
if [ -n "$pid" ]; then
  [ -d "/proc/$pid" ] || say process "$pid" gone ''
  process "$pid" "$(words_of "$pid")"
fi
others
if [ "$mode" = host ]; then
  [ -z "$pid" ] || listening "$pid"
  host
fi
say @MARK@ end 1 "$(date +%s.%N)"
"""

SCRIPT: Final = (
    _PROGRAM.replace("@KEYS@", _KEYS)
    .replace("@MAINS@", " ".join(MAIN_CLASSES))
    .replace("@MARK@", MARK)
    .replace("@MAX_PROCESSES@", str(MAX_PROCESSES))
    .replace("@MAX_LISTENERS@", str(MAX_LISTENERS))
    .replace("@REBOOT_SECONDS@", str(REBOOT_SECONDS))
)


def identity_argv(pid: int | None) -> tuple[str, ...]:
    """What asks whose process this is; without one, which of ours run there at all."""
    return _argv("identity", pid)


def host_argv(pid: int | None) -> tuple[str, ...]:
    """What asks the same, and how the host is: clock, disks, reboot, listeners."""
    return _argv("host", pid)


def _argv(mode: str, pid: int | None) -> tuple[str, ...]:
    return ("sh", "-c", SCRIPT, "healthd-facts", mode, "" if pid is None else str(pid))
