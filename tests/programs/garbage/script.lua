-- Calls functions of the module as Lua scripts do: all of them with texts of the request, or those in its body.

local D = KSR.dispatcher

-- Outside of a message, while the server starts.
pcall(function() D.ds_select_dst(1, 4) end)
pcall(function() D.ds_is_from_list_uri(1, 2, "sip:127.0.0.1") end)
pcall(function() D.ds_load_unset() end)
pcall(function() D.ds_reload() end)

function everything()
    local a, b, c = KSR.pv.gete("$hdr(X-A)"), KSR.pv.gete("$hdr(X-B)"), KSR.pv.gete("$hdr(X-C)")
    local n = KSR.pv.get("$ml") or 0
    local set = 1 + n % 4
    for alg = 0, 16 do
        D.ds_select_dst(set, alg)
        D.ds_next_dst()
        D.ds_select_domain_limit(set, alg, 3)
        D.ds_next_domain()
        D.ds_select_dst_limit(set, alg, n)
        D.ds_set_dst()
        D.ds_select_domain(set, alg)
        D.ds_set_domain()
        D.ds_select(set, alg)
        D.ds_select_limit(set, alg, 2)
        KSR.pv.unset("$xavp(_dsdst_[*])")
    end
    D.ds_select_routes(a, b)
    D.ds_select_routes_limit(b, a, n)
    D.ds_select_routes_limit("1=4;2=13;4=9", "0", 4)
    D.ds_mark_dst()
    D.ds_mark_dst_state(c)
    D.ds_mark_addr(a, 2, b)
    D.ds_is_from_lists()
    D.ds_is_from_list(set)
    D.ds_is_from_list_mode(-1, n)
    D.ds_is_from_list_uri(-1, 31, c)
    D.ds_list_exists(n)
    D.ds_is_active(set)
    D.ds_is_active_uri(set, c)
    D.ds_load_update()
    D.ds_load_unset()
    D.ds_load_unset_callid(a)
    return 1
end

-- Each line of the body is a call.
function calls()
    local done, faults = 0, 0
    for call in string.gmatch(KSR.pv.gete("$rb"), "[^\n]+") do
        local chunk = loadstring("local D = KSR.dispatcher; " .. call)
        done = done + 1
        if chunk == nil or not pcall(chunk) then faults = faults + 1 end
    end
    KSR.pv.seti("$var(calls)", done)
    KSR.pv.seti("$var(faults)", faults)
    return 1
end
