#!/bin/bash
# A real SLURM of two logical nodes on this machine, for the tests marked `slurm`.
#
#   cluster.sh packages               install what it needs with apt-get, if it is not there
#   cluster.sh start [--accounting]   configure, start, wait until idle
#   cluster.sh stop                   end what was started, and only that; drop its state
#
# As root, without systemd and without cgroups. After `start`, SLURM_CONF=$DIR/slurm.conf.
# BENCH_SLURM_DIR: where all of it lies [/var/tmp/benchbench-slurm]; logs in $BENCH_SLURM_DIR/log.
# BENCH_SLURM_PORT: first of six TCP ports on 127.0.0.1 [17817].
set -u
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
DIR="${BENCH_SLURM_DIR:-/var/tmp/benchbench-slurm}"
PORT="${BENCH_SLURM_PORT:-17817}"
PREFIX=bb LOG="$DIR/log" RUN="$DIR/run" PIDS="$DIR/pids" MARK="# benchbench-slurm"
PORTDBD=$((PORT + 3)) PORTDB=$((PORT + 4))
export SLURM_CONF="$DIR/slurm.conf"

die() { echo "cluster.sh: $*; logs: $LOG" >&2; exit 1; }

# A pid file holds "<pid> <kernel start time>": a recycled pid is never taken for ours.
start_time() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() {
  local pid start
  [ -f "$PIDS/$1" ] && read -r pid start < "$PIDS/$1" && [ -n "$start" ] && [ "$(start_time "$pid")" = "$start" ]
}
launch() {
  local name="$1"; shift
  alive "$name" && return 0
  setsid "$@" >> "$LOG/$name.stdout" 2>&1 < /dev/null &
  sleep 0.05
  echo "$! $(start_time $!)" > "$PIDS/$name"
  disown
}
end() {
  local pid start i
  if alive "$1"; then
    read -r pid start < "$PIDS/$1"
    kill -TERM "$pid"
    for ((i = 0; i < 200; i++)); do alive "$1" || break; sleep 0.1; done
    alive "$1" && kill -KILL "$pid"
  fi
  rm -f "$PIDS/$1"
}
wait_for() {
  local what="$1" i; shift
  for ((i = 0; i < 600; i++)); do "$@" > /dev/null 2>&1 && return 0; sleep 0.1; done
  die "$what did not come up in 60 s"
}

packages() {
  local missing=() p policy=/usr/sbin/policy-rc.d made=0
  [ "$(id -u)" = 0 ] || die "root only"
  mkdir -p "$LOG"
  for p in slurmctld slurmd slurm-client munge slurmdbd mariadb-server; do dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  # the packages' own services must not start: ours do
  if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' > $policy; chmod 755 $policy; made=1; fi
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
    > "$LOG/apt.log" 2>&1 < /dev/null
  local status=$?
  [ $made = 1 ] && rm -f $policy
  [ $status -eq 0 ] || { tail -5 "$LOG/apt.log" >&2; die "apt-get failed"; }
}
fill() { # fill TEMPLATE: the template with its @MARKS@ filled in
  sed -e "s|@PREFIX@|$PREFIX|g; s|@HOST@|$(hostname -s)|g; s|@DIR@|$DIR|g; s|@LOG@|$LOG|g; s|@PORT@|$PORT|g" \
    -e "s|@PORT1@|$((PORT + 1))|; s|@PORT2@|$((PORT + 2))|; s|@PORTDBD@|$PORTDBD|; s|@PORTDB@|$PORTDB|" \
    -e "s|@PASS@|${PASS:-}|; s|@ACCOUNTING@|$ACCOUNTING|" "$1"
}

sql() { mariadb --no-defaults --socket="$RUN/db/sock" --user=root --batch -e "$1"; }
start_database() {
  mkdir -p "$DIR/db" "$RUN/db"; chown mysql:mysql "$DIR/db" "$RUN/db"
  [ -d "$DIR/db/mysql" ] || mariadb-install-db --no-defaults --datadir="$DIR/db" --user=mysql --skip-test-db \
    --auth-root-authentication-method=normal > "$LOG/mariadb-install-db.log" 2>&1 || die "mariadb-install-db failed"
  launch mariadbd /usr/sbin/mariadbd --no-defaults --user=mysql --datadir="$DIR/db" --socket="$RUN/db/sock" \
    --pid-file="$RUN/db/pid" --bind-address=127.0.0.1 --port="$PORTDB" --skip-log-bin --skip-name-resolve \
    --innodb-buffer-pool-size=128M --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0 --tmpdir="$RUN/db"
  wait_for mariadbd sql 'select 1'
  sql "create database if not exists slurm_acct; create or replace user 'slurm'@'127.0.0.1' identified by '$PASS';
       grant all on slurm_acct.* to 'slurm'@'127.0.0.1'; flush privileges;" || die "the database refuses"
  (umask 077; fill "$HERE/slurmdbd.conf.in" > "$DIR/slurmdbd.conf")
  launch slurmdbd /usr/sbin/slurmdbd -D
  wait_for slurmdbd sacctmgr -n -i list cluster
  sacctmgr -n -i list cluster format=cluster | grep -qw "${PREFIX}cluster" ||
    sacctmgr -i add cluster "${PREFIX}cluster" > /dev/null || die "sacctmgr add cluster failed"
}
idle() { [ "$(sinfo -h -N -p low -o '%T' | grep -c idle)" = 2 ]; }

start() {
  [ "$(id -u)" = 0 ] || die "root only"
  mkdir -p "$LOG" "$RUN" "$PIDS" "$DIR/state" "$DIR/spool"; chmod 755 "$DIR" "$RUN"
  ACCOUNTING="AccountingStorageType=accounting_storage/none"
  if [ "${1:-}" = --accounting ]; then
    ACCOUNTING="AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\nAccountingStoragePort=$PORTDBD\nAccountingStoragePass=$RUN/munge.socket"
    PASS="$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')"
  fi
  fill "$HERE/slurm.conf.in" > "$SLURM_CONF"
  for n in 1 2; do getent hosts $PREFIX$n > /dev/null || echo "127.0.0.1 $PREFIX$n $MARK" >> /etc/hosts; done
  [ -s "$DIR/munge.key" ] || (umask 077; head -c 128 /dev/urandom > "$DIR/munge.key")
  launch munged /usr/sbin/munged --foreground --force --socket="$RUN/munge.socket" --key-file="$DIR/munge.key" \
    --pid-file="$RUN/munged.pid" --log-file="$LOG/munged.log" --seed-file="$RUN/munged.seed"
  wait_for munged munge -S "$RUN/munge.socket" -n
  [ -z "${PASS:-}" ] || start_database
  launch slurmctld /usr/sbin/slurmctld -D -f "$SLURM_CONF"
  for n in 1 2; do mkdir -p "$DIR/spool/$PREFIX$n"; launch slurmd$n /usr/sbin/slurmd -D -N $PREFIX$n -f "$SLURM_CONF"; done
  wait_for "two idle nodes" idle
}
stop() {
  [ -d "$PIDS" ] || return 0
  if alive slurmctld; then
    scancel --user=root > /dev/null 2>&1
    for ((i = 0; i < 75; i++)); do [ -z "$(squeue -h 2>/dev/null)" ] && break; sleep 0.2; done
  fi
  for name in slurmd1 slurmd2; do end $name; done
  for d in /proc/[0-9]*; do # job steps that outlived their slurmd carry our SLURM_CONF
    grep -qzxF "SLURM_CONF=$SLURM_CONF" "$d/environ" 2>/dev/null && grep -qz '^SLURMD_NODENAME=' "$d/environ" 2>/dev/null &&
      kill -KILL "${d#/proc/}" 2>/dev/null
  done
  for name in slurmctld slurmdbd mariadbd munged; do end $name; done
  if grep -q "$MARK" /etc/hosts; then kept="$(grep -v "$MARK" /etc/hosts)"; printf '%s\n' "$kept" > /etc/hosts; fi
  rm -rf "$DIR/state" "$DIR/spool" "$RUN" "$PIDS" "$DIR/db" "$DIR"/*.conf "$DIR/munge.key"
}

case "${1:-}" in
  packages) packages ;;
  start) start "${2:-}" ;;
  stop) stop ;;
  *) die "packages, start or stop" ;;
esac
