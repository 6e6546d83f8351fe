# scale.sh - what tests/bench/run measures beside the plain comparison: one
# large exchange beside small ones, and more workers, hosts, backends, agents.
# Sourced by it: the functions and variables of run are known here.
# shellcheck shell=bash disable=SC2154

is_wanted() { # part
	case " $parts " in
	*" $1 "*) ;;
	*) return 1 ;;
	esac
}

redis_cli() {
	redis-cli -s "$dir/redis.sock" "$@"
}

p99() { # what, url
	local line
	line=$(run_wrk "$1" 4 "$2") || exit 1
	echo "${line##* }"
}

# Asks for much and reads nothing.
stopped=
stop_reading() { # port
	local fd
	exec {fd}<>"/dev/tcp/127.0.0.1/$1"
	printf 'GET /256m HTTP/1.1\r\nHost: bench\r\n\r\n' >&"$fd"
	stopped="$stopped $fd"
}
leave() {
	local fd
	for fd in $stopped; do
		exec {fd}>&-
	done
	stopped=
}

fairness() { # web
	local way port url alone beside loader
	for way in plain tunnel; do
		port=$(eval "echo \$${1}_$way")
		url=http://127.0.0.1:$port
		alone=$(p99 "$1 small $way" "$url/1k") || exit 1
		curl -s -o /dev/null "$url/10g" &
		loader=$!
		beside=$(p99 "$1 beside a download $way" "$url/1k") || exit 1
		kill -0 "$loader" || die "$1: the download beside broke off"
		kill "$loader"
		wait "$loader" 2>/dev/null
		note "$1" "p99 us, alone and beside 10 GiB down, $way" \
		    plain "$alone"
		note "$1" "p99 us, alone and beside 10 GiB down, $way" \
		    tunnel "$beside"
	done
	for _ in 1 2 3 4 5 6 7 8; do
		stop_reading "$port"
	done
	# What they were sent is in every buffer on the way.
	pause 1
	beside=$(p99 "$1 beside stopped clients" "$url/1k") || exit 1
	leave
	note "$1" "p99 us, alone and beside 8 clients that stop reading" \
	    plain "$alone"
	note "$1" "p99 us, alone and beside 8 clients that stop reading" \
	    tunnel "$beside"
}

# Commands that came to Redis by a connection: not what a script does.
count_commands() { # command ...
	local monitor
	redis-cli -s "$dir/redis.sock" monitor >"$dir/monitor" &
	monitor=$!
	wait_for "MONITOR" grep -q OK "$dir/monitor"
	"$@"
	kill "$monitor"
	wait "$monitor" 2>/dev/null
	grep -a '^[0-9]' "$dir/monitor" | grep -acv ' lua\] '
}

# With two workers the owner is mostly not the one that the agent calls.
commands() { # web
	local tunnel idle line count all
	tunnel=$(eval "echo \$${1}_tunnel")
	for count in 1 2; do
		stop_workers
		start_workers "$count"
		start_agent "$1"
		idle=$(count_commands pause 1)
		for connections in 1 64; do
			all=$(count_commands run_commands "$1" "$connections" \
			    "http://127.0.0.1:$tunnel/1k") || exit 1
			# shellcheck disable=SC2046  # words
			set -- "$1" $(cat "$dir/load")
			note "$1" "Redis commands/exchange c=$connections, \
$count worker(s)" tunnel "$(awk "BEGIN { print \
			    ($all - $idle * $3 / 1e6) / $2 }")"
		done
		stop_agent
	done
	stop_workers
	start_workers "$workers"
}
run_commands() { # web, connections, url
	run_wrk "$1 commands" "$2" "$3" >"$dir/load"
}
pause() { # seconds
	read -rt "$1" <> <(:) || :
}

# CPU ticks of each worker, on one line.
worker_ticks() {
	local pid list=
	for pid in $(pgrep -P "$pid_worker"); do
		list="$list $(sed 's/.*) //' "/proc/$pid/stat" |
		    awk '{ print $12 + $13 }')"
	done
	echo "$list"
}

several_workers() { # web
	local tunnel line one before after
	tunnel=$(eval "echo \$${1}_tunnel")
	for count in 1 2 4; do
		stop_workers
		start_workers "$count"
		start_agent "$1"
		before=$(worker_ticks)
		line=$(run_wrk "$1 $count workers" 64 \
		    "http://127.0.0.1:$tunnel/1k") || exit 1
		after=$(worker_ticks)
		# shellcheck disable=SC2086  # words
		set -- "$1" $line
		line=$(awk "BEGIN { print $2 / $3 * 1e6 }")
		one=${one:-$line}
		test "$count" -eq 1 || {
			note "$1" "req/s c=64, 1 and $count workers" \
			    plain "$one"
			note "$1" "req/s c=64, 1 and $count workers" \
			    tunnel "$line"
			note "$1" "busiest of $count workers, share of all %" \
			    tunnel "$(awk -v before="$before" -v after="$after" '
				BEGIN {
					n = split(before, b, " ")
					split(after, a, " ")
					for (i = 1; i <= n; i++) {
						d = a[i] - b[i]
						sum += d
						if (d > most)
							most = d
					}
					if (sum > 0)
						print most * 100 / sum
					else
						print 0
				}')"
		}
		stop_agent
	done
	stop_workers
	start_workers "$workers"
}

# --- two hosts --------------------------------------------------------------

host_address=10.231

make_host() { # number
	local name=ipb$$-$1
	ip netns add "$name" || return 1
	namespaces="$namespaces $name"
	ip link add "$name" type veth peer name eth0 netns "$name" &&
	    ip address add "$host_address.$1.1/24" dev "$name" &&
	    ip link set "$name" up &&
	    ip -n "$name" address add "$host_address.$1.2/24" dev eth0 &&
	    ip -n "$name" link set lo up && ip -n "$name" link set eth0 up
}

start_host() { # number
	start "host$1" ip netns exec "ipb$$-$1" \
	    "$build/inverting-proxy.fcgi" --listen "$host_address.$1.2:9000" \
	    --redis "$host_address.$1.1:$redis_port" --log-level warn
	wait_for "host $1" bash -c \
	    "exec 3<>/dev/tcp/$host_address.$1.2/9000"
}

# Redis by TCP as well, for these addresses only.
open_redis() {
	next_port
	redis_port=$port
	redis_cli config set protected-mode no >/dev/null
	redis_cli config set bind "$host_address.1.1 $host_address.2.1" \
	    >/dev/null
	redis_cli config set port "$redis_port" >/dev/null
}

start_web_for_hosts() { # web, count, port
	local list="" i
	case $1 in
	lighttpd)
		for i in $(seq "$2"); do
			list="$list( \"host\" => \"$host_address.$i.2\", \
\"port\" => 9000, \"check-local\" => \"disable\", \
\"fix-root-scriptname\" => \"enable\", \"tcp-fin-propagate\" => \"enable\", \
\"disable-time\" => 0 ),"
		done
		sed "s|^server.port.*|server.port = $3|" "$dir/lighttpd.conf" \
		    >"$dir/lighttpd-$2.conf"
		cat >>"$dir/lighttpd-$2.conf" <<END
fastcgi.server := ( "/" => ( $list ) )
fastcgi.balance = "least-connection"
END
		start "web_$2" lighttpd -D -f "$dir/lighttpd-$2.conf"
		;;
	apache)
		mkdir -p "$dir/apache-$2"
		start "web_$2" apache2 -D FOREGROUND \
		    -D INVERTING_PROXY_BALANCER \
		    -C "Define INVERTING_PROXY_CONF $source/deploy/apache" \
		    -C "Define INVERTING_PROXY_LISTEN 127.0.0.1:$3" \
		    -C "Define INVERTING_PROXY_RUN $dir/apache-$2" \
		    -C "Define INVERTING_PROXY_WORKER_1 $host_address.1.2:9000" \
		    -C "Define INVERTING_PROXY_WORKER_2 $host_address.$2.2:9000" \
		    -C "Define INVERTING_PROXY_ERROR_LOG $dir/apache-$2.log" \
		    -f "$source/deploy/apache/httpd.conf"
		;;
	esac
	wait_for "$1 before $2 host(s)" curl -so /dev/null "http://127.0.0.1:$3/1k"
}

has_hosts=
two_hosts() { # web
	local count at line one web_pid
	# Apache's balancer wants two different members.
	test "$1" = lighttpd || return 0
	if test -z "$has_hosts"; then
		if ! make_host 1 || ! make_host 2; then
			echo "bench: no network namespaces: two hosts are not" \
			    "measured" >&2
			return 0
		fi
		open_redis
		start_host 1
		start_host 2
		has_hosts=yes
	fi
	for count in 1 2; do
		next_port
		at=$port
		start_web_for_hosts "$1" "$count" "$at"
		eval "web_pid=\$pid_web_$count"
		start_agent_at "$at" --backend bench
		wait_for_tunnel "$at"
		line=$(run_wrk "$1 $count hosts" 64 "http://127.0.0.1:$at/1k") ||
		    exit 1
		# shellcheck disable=SC2086  # words
		set -- "$1" $line
		line=$(awk "BEGIN { print $2 / $3 * 1e6 }")
		one=${one:-$line}
		stop_agent
		kill "$web_pid"
		wait "$web_pid" 2>/dev/null
	done
	note "$1" "req/s c=64, 1 and 2 hosts, Redis by TCP" plain "$one"
	note "$1" "req/s c=64, 1 and 2 hosts, Redis by TCP" tunnel "$line"
	# shellcheck disable=SC2154
	kill "$pid_host1" "$pid_host2"
	wait "$pid_host1" "$pid_host2" 2>/dev/null
	has_hosts=
}

# --- many backends and agents -----------------------------------------------

# Straight into the registry, as PROTOCOL.md has it: one by one, each of them
# is news for the workers.
backends_made=
make_backends() { # count
	test -z "$backends_made" || return 0
	backends_made=yes
	seq "$1" | awk '{
		printf "HSET ip:{registry}:backends b%d \"{" \
		    "\\\"id\\\":\\\"b%d\\\"," \
		    "\\\"endUser\\\":\\\"allUsers\\\"," \
		    "\\\"backendUser\\\":\\\"bench\\\"," \
		    "\\\"pathPrefixes\\\":[\\\"/b/%d\\\"]}\"\n", $1, $1, $1
	}' | redis_cli >/dev/null
	redis_cli publish "ip:{registry}:changed" \
	    "$(redis_cli incr "ip:{registry}:version")" >/dev/null
	admin backend list | grep -q "^b$1 " || die "no backend b$1"
}

many=2000
many_backends() { # web
	local tunnel line list i
	tunnel=$(eval "echo \$${1}_tunnel")
	make_backends "$many"
	list="--backend bench"
	for i in $(seq "$many"); do
		list="$list --backend b$i"
	done
	# shellcheck disable=SC2086  # words
	start_agent_at "$tunnel" $list
	wait_for_tunnel "$tunnel"
	# The agent names them in several calls.
	for i in $(seq 1 100 "$many"); do
		wait_for "backend $i" curl -sf -m 5 -o /dev/null \
		    "http://127.0.0.1:$tunnel/b/$i/1k"
	done
	for i in 1 "$many"; do
		line=$(run_wrk "$1 $i backends" 64 \
		    "http://127.0.0.1:$tunnel/" spread.lua "$i") || exit 1
		# shellcheck disable=SC2086  # words
		set -- "$1" $line
		way=plain
		test "$i" -eq 1 || way=tunnel
		note "$1" "req/s c=64, 1 and $many backends" "$way" \
		    "$(awk "BEGIN { print $2 / $3 * 1e6 }")"
		note "$1" "p99 us c=64, 1 and $many backends" "$way" "$6"
	done
	stop_agent
}

# At the worker's socket: a web server's own limits are another matter.
parked() {
	local count line
	make_backends "$many"
	for count in 10 10000; do
		stop_workers
		start_workers 1
		line=$(python3 "$source/tests/bench/parked.py" \
		    "$dir/worker.sock" "$pid_worker" "$(cat "$dir/token")" \
		    "$count" "$many" 200) || die "parked polls"
		way=plain
		test "$count" -eq 10 || way=tunnel
		# shellcheck disable=SC2086  # words
		set -- $line
		note worker "MiB, 10 and 10000 parked polls" "$way" "$1"
		note worker "CPU ms/s, 10 and 10000 parked polls" "$way" "$2"
		note worker "p50 us to hand over, 10 and 10000 polls" "$way" "$3"
		note worker "p99 us to hand over, 10 and 10000 polls" "$way" "$4"
	done
}
