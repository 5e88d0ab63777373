"""Calls functions of the module as Python scripts do: all of them with texts of the request, or those in its body."""

import KSR

D = KSR.dispatcher


def tried(call):
    try:
        call()
    except Exception:
        pass


# Outside of a message, while the server starts.
tried(lambda: D.ds_select_dst(1, 4))
tried(lambda: D.ds_is_from_list_uri(1, 2, "sip:127.0.0.1"))
tried(lambda: D.ds_load_unset())


def mod_init():
    return Script()


class Script:
    def child_init(self, rank):
        tried(lambda: D.ds_is_active(1))
        tried(lambda: D.ds_is_from_lists())
        tried(lambda: D.ds_load_update())
        tried(lambda: D.ds_next_dst())
        # The server's main process gives the XAVPs that it has at this point to each process that it makes, and each
        # of them frees the same ones.
        if rank > 0:
            tried(lambda: D.ds_select_dst(1, 4))
            tried(lambda: D.ds_select_routes("1=4;2=8", "0"))
        return 0

    def everything(self, msg):
        a, b, c = (KSR.pv.gete(f"$hdr(X-{name})") for name in "ABC")
        n = KSR.pv.get("$ml") or 0
        chosen = 1 + n % 4
        for alg in range(17):
            D.ds_select_dst(chosen, alg)
            D.ds_next_dst()
            D.ds_select_domain_limit(chosen, alg, 3)
            D.ds_next_domain()
            D.ds_select_dst_limit(chosen, alg, n)
            D.ds_set_dst()
            D.ds_select_domain(chosen, alg)
            D.ds_set_domain()
            D.ds_select(chosen, alg)
            D.ds_select_limit(chosen, alg, 2)
            KSR.pv.unset("$xavp(_dsdst_[*])")
        for call in (
            lambda: D.ds_select_routes(a, b),
            lambda: D.ds_select_routes_limit(b, a, n),
            lambda: D.ds_select_routes_limit("1=4;2=13;4=9", "0", 4),
            lambda: D.ds_mark_dst(),
            lambda: D.ds_mark_dst_state(c),
            lambda: D.ds_mark_addr(a, 2, b),
            lambda: D.ds_is_from_lists(),
            lambda: D.ds_is_from_list(chosen),
            lambda: D.ds_is_from_list_mode(-1, n),
            lambda: D.ds_is_from_list_uri(-1, 31, c),
            lambda: D.ds_list_exists(n),
            lambda: D.ds_is_active(chosen),
            lambda: D.ds_is_active_uri(chosen, c),
            lambda: D.ds_load_update(),
            lambda: D.ds_load_unset(),
            lambda: D.ds_load_unset_callid(a),
        ):
            tried(call)
        return 1

    def calls(self, msg):
        done = faults = 0
        for call in KSR.pv.gete("$rb").split("\n"):
            done += 1
            try:
                exec(call, {"D": D})
            except Exception:
                faults += 1
        KSR.pv.seti("$var(calls)", done)
        KSR.pv.seti("$var(faults)", faults)
        return 1
