# Everybody who asks for a room gets to the same bridge. Recordings go to the recorder with the fewest
# sessions. What bridges send goes out, with the zone of the bridge.

import KSR

BRIDGES, RECORDERS = 1, 2
BY_PVAR, BY_LOAD = 7, 10


def mod_init():
    return Rooms()


class Rooms:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        method = KSR.pv.get("$rm")
        if KSR.maxfwd.process_maxfwd(10) < 0:
            KSR.sl.sl_send_reply(483, "Too Many Hops")
            return 1
        if method in ("CANCEL", "BYE"):
            KSR.dispatcher.ds_load_update()
        if method == "CANCEL":
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return 1
        if KSR.siputils.has_totag() > 0:
            if KSR.rr.loose_route() > 0:
                KSR.tm.t_relay()
            elif method != "ACK":
                KSR.sl.sl_send_reply(404, "Not here")
            return 1
        if method == "NOTIFY":
            return self.notify()
        if method != "INVITE":
            KSR.sl.sl_send_reply(405, "Method Not Allowed")
            return 1
        KSR.rr.record_route()
        if KSR.dispatcher.ds_is_from_list_mode(BRIDGES, 3) > 0:
            attrs = KSR.pv.gete("$avp(dsattrs)")
            KSR.hdr.append("X-Zone: " + attrs + "\r\n")
            KSR.tm.t_relay()
            return 1
        if KSR.pv.gete("$rU").startswith("rec-"):
            return self.record()
        return self.room()

    def ksr_reply_route(self, msg):
        return 1

    def ksr_onsend_route(self, msg):
        return 1

    def notify(self):
        done = KSR.dispatcher.ds_reload()
        KSR.sl.sl_send_reply(200 if done > 0 else 500, "Lists")
        return 1

    def room(self):
        if KSR.dispatcher.ds_select_domain(BRIDGES, BY_PVAR) < 0:
            KSR.sl.sl_send_reply(503, "No bridge")
            return 1
        KSR.tm.t_on_failure("bridge_failure")
        KSR.tm.t_relay()
        return 1

    def record(self):
        if KSR.dispatcher.ds_select_dst(RECORDERS, BY_LOAD) < 0:
            KSR.sl.sl_send_reply(486, "Recorders busy")
            return 1
        KSR.tm.t_on_failure("recorder_failure")
        KSR.tm.t_relay()
        return 1

    def bridge_failure(self, msg):
        if KSR.tm.t_check_status("50[03]") > 0:
            KSR.dispatcher.ds_mark_dst()
            if KSR.dispatcher.ds_next_domain() > 0:
                KSR.tm.t_on_failure("bridge_failure")
                KSR.tm.t_relay()
        return 1

    def recorder_failure(self, msg):
        if KSR.tm.t_check_status("50[03]") > 0 and KSR.dispatcher.ds_next_dst() > 0:
            KSR.tm.t_on_failure("recorder_failure")
            KSR.tm.t_relay()
            return 1
        KSR.dispatcher.ds_load_unset()
        return 1
