-- Calls go to the PBXs of the trunk's set, or to the spare set when none of them is up.
-- A PBX that fails is left alone until it answers a ping.

local PBX, SPARE, IN_TURN, FIRST = 1, 2, 4, 8

function ksr_request_route()
	if KSR.maxfwd.process_maxfwd(10) < 0 then
		KSR.sl.sl_send_reply(483, "Too Many Hops")
		return 1
	end
	local method = KSR.pv.gete("$rm")
	if method == "CANCEL" then
		if KSR.tm.t_check_trans() > 0 then
			KSR.tm.t_relay()
		end
		return 1
	end
	if KSR.siputils.has_totag() > 0 then
		return within_dialog(method)
	end
	if KSR.dispatcher.ds_is_from_list_mode(PBX, 3) > 0 then
		KSR.hdr.append("X-Origin: pbx\r\n")
	end
	if method == "INVITE" then
		KSR.rr.record_route()
	end
	return dispatch()
end

function within_dialog(method)
	if KSR.rr.loose_route() > 0 then
		KSR.tm.t_relay()
	elseif method ~= "ACK" then
		KSR.sl.sl_send_reply(404, "Not here")
	end
	return 1
end

function dispatch()
	local found
	if KSR.dispatcher.ds_is_active(PBX) > 0 then
		found = KSR.dispatcher.ds_select_dst(PBX, IN_TURN)
	elseif KSR.dispatcher.ds_list_exists(SPARE) > 0 then
		found = KSR.dispatcher.ds_select_dst_limit(SPARE, FIRST, 2)
	end
	if not found or found < 0 then
		KSR.sl.sl_send_reply(503, "Trunk down")
		return 1
	end
	KSR.tm.t_on_failure("ksr_failure_pbx")
	KSR.tm.t_relay()
	return 1
end

function ksr_failure_pbx()
	if KSR.tm.t_is_canceled() > 0 then
		return 1
	end
	local status = KSR.tm.t_get_status_code()
	if status == 408 or status == 500 or status == 503 then
		KSR.dispatcher.ds_mark_dst_state("ip")
		if KSR.dispatcher.ds_next_dst() > 0 then
			KSR.tm.t_on_failure("ksr_failure_pbx")
			KSR.tm.t_relay()
			return 1
		end
	end
	return 1
end

function ksr_dispatcher_event(name)
	KSR.notice("trunk: " .. name .. " " .. KSR.pv.gete("$ru") .. "\n")
end
