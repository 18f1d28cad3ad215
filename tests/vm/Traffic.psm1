<#
.SYNOPSIS
Traffic for smoke.ps1, stress.ps1 and peer.ps1: an echo server, and clients that check every byte that comes back.

.DESCRIPTION
The server has three ports, from the one it is given on: an echo over TCP and UDP; the same number plus one, where a connection asks to be
called back; and the next, where the caller listens for that. The call back is what makes an inbound connection at the machine under
test, which is what ALE_AUTH_RECV_ACCEPT is about.
#>
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$RuleGroup = 'Tollgate VM tests'
$RuleName = 'TollgateVmTests'

<#
.SYNOPSIS
Bytes that tell where in the stream they are, so that what is lost, doubled or in another order shows.
#>
function Get-Pattern {
    [CmdletBinding()]
    param(
        # How many.
        [Parameter(Mandatory)] [ValidateRange(1, 16777216)] [int] $Length
    )

    $bytes = New-Object -TypeName byte[] -ArgumentList $Length
    # A period that is no power of two, so that a block of a buffer's size does not look like the next.
    for ($index = 0; $index -lt $Length; $index++) {
        $bytes[$index] = $index % 251
    }
    , $bytes
}

<#
.SYNOPSIS
Where two arrays of bytes differ first; -1 when they do not.
#>
function Find-Difference {
    [CmdletBinding()]
    param(
        # What was sent.
        [Parameter(Mandatory)] [AllowEmptyCollection()] [ValidateNotNull()] [byte[]] $Sent,
        # What was received.
        [Parameter(Mandatory)] [AllowEmptyCollection()] [ValidateNotNull()] [byte[]] $Received
    )

    $both = [Math]::Min($Sent.Length, $Received.Length)
    for ($index = 0; $index -lt $both; $index++) {
        if ($Sent[$index] -ne $Received[$index]) {
            return $index
        }
    }
    if ($Sent.Length -ne $Received.Length) {
        return $both
    }
    -1
}

<#
.SYNOPSIS
Reads from a connection until it ends or as much has come as was asked for.
#>
function Read-Stream {
    [CmdletBinding()]
    param(
        # The connection's stream.
        [Parameter(Mandatory)] [ValidateNotNull()] [IO.Stream] $Stream,
        # How much to read at most.
        [Parameter(Mandatory)] [ValidateRange(1, 16777216)] [int] $Length
    )

    $buffer = New-Object -TypeName byte[] -ArgumentList $Length
    $have = 0
    while ($have -lt $Length) {
        $more = $Stream.Read($buffer, $have, $Length - $have)
        if ($more -eq 0) {
            break
        }
        $have += $more
    }
    [Array]::Resize([ref] $buffer, $have)
    , $buffer
}

<#
.SYNOPSIS
Throws when what came back is not what was sent.
#>
function Assert-Same {
    [CmdletBinding()]
    param(
        # What was done, for the message.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $What,
        # What was sent.
        [Parameter(Mandatory)] [ValidateNotNull()] [byte[]] $Sent,
        # What was received.
        [Parameter(Mandatory)] [AllowEmptyCollection()] [ValidateNotNull()] [byte[]] $Received
    )

    $at = Find-Difference -Sent $Sent -Received $Received
    if ($at -ge 0) {
        throw "$What`: sent $($Sent.Length) bytes, received $($Received.Length), different from byte $at on."
    }
}

<#
.SYNOPSIS
Connects, within a time.
#>
function Connect-Tcp {
    [CmdletBinding()]
    param(
        # The server.
        [Parameter(Mandatory)] [ValidateNotNull()] [Net.IPAddress] $Address,
        # Its port.
        [Parameter(Mandatory)] [ValidateRange(1, 65535)] [int] $Port,
        # How long it may take.
        [Parameter(Mandatory)] [ValidateRange(1, 600)] [int] $TimeoutSeconds
    )

    $client = New-Object -TypeName Net.Sockets.TcpClient -ArgumentList $Address.AddressFamily
    try {
        if (-not $client.ConnectAsync($Address, $Port).Wait($TimeoutSeconds * 1000)) {
            throw "No connection to $Address port $Port within $TimeoutSeconds seconds."
        }
        $client.ReceiveTimeout = $TimeoutSeconds * 1000
        $client.SendTimeout = $TimeoutSeconds * 1000
        $client
    } catch {
        $client.Dispose()
        throw
    }
}

<#
.SYNOPSIS
Sends bytes over TCP and checks that the same come back.
#>
function Test-TcpEcho {
    [CmdletBinding()]
    param(
        # The server.
        [Parameter(Mandatory)] [ValidateNotNull()] [Net.IPAddress] $Address,
        # Its port.
        [Parameter(Mandatory)] [ValidateRange(1, 65533)] [int] $Port,
        # How many bytes.
        [ValidateRange(1, 16777216)] [int] $Length = 200000,
        # How long each step may take.
        [ValidateRange(1, 600)] [int] $TimeoutSeconds = 20
    )

    $sent = Get-Pattern -Length $Length
    $client = Connect-Tcp -Address $Address -Port $Port -TimeoutSeconds $TimeoutSeconds
    try {
        $stream = $client.GetStream()
        # Written while it is read, because the server sends back before it has everything.
        $writing = $stream.WriteAsync($sent, 0, $sent.Length)
        $received = Read-Stream -Stream $stream -Length $Length
        $writing.Wait()
        Assert-Same -What "TCP echo of $Address" -Sent $sent -Received $received
    } finally {
        $client.Dispose()
    }
}

<#
.SYNOPSIS
Sends datagrams and checks that the same come back, and how many.

.DESCRIPTION
A datagram may be lost, so each is tried again; after three tries it is a failure.
#>
function Test-UdpEcho {
    [CmdletBinding()]
    param(
        # The server.
        [Parameter(Mandatory)] [ValidateNotNull()] [Net.IPAddress] $Address,
        # Its port.
        [Parameter(Mandatory)] [ValidateRange(1, 65533)] [int] $Port,
        # How many bytes each has. More than a packet holds makes fragments, which the receiver reassembles.
        [ValidateRange(1, 60000)] [int] $Length = 512,
        # How many.
        [ValidateRange(1, 100000)] [int] $Count = 20,
        # How long one may take.
        [ValidateRange(1, 600)] [int] $TimeoutSeconds = 5
    )

    $sent = Get-Pattern -Length $Length
    $client = New-Object -TypeName Net.Sockets.UdpClient -ArgumentList $Address.AddressFamily
    try {
        $client.Client.ReceiveTimeout = $TimeoutSeconds * 1000
        $client.Connect($Address, $Port)
        for ($number = 0; $number -lt $Count; $number++) {
            $tries = 3
            while ($true) {
                $null = $client.Send($sent, $sent.Length)
                $from = New-Object -TypeName Net.IPEndPoint -ArgumentList $Address, 0
                try {
                    $received = $client.Receive([ref] $from)
                    break
                } catch [Net.Sockets.SocketException] {
                    $tries--
                    if ($tries -eq 0) {
                        throw "UDP echo of $Address`: datagram $number of $Length bytes did not come back in three tries. $($_.Exception.Message)"
                    }
                }
            }
            Assert-Same -What "UDP echo of $Address" -Sent $sent -Received $received
        }
    } finally {
        $client.Dispose()
    }
}

<#
.SYNOPSIS
Pings, and checks that the same bytes come back.
#>
function Test-IcmpEcho {
    [CmdletBinding()]
    param(
        # Whom.
        [Parameter(Mandatory)] [ValidateNotNull()] [Net.IPAddress] $Address,
        # How many bytes.
        [ValidateRange(1, 60000)] [int] $Length = 64,
        # How often.
        [ValidateRange(1, 100000)] [int] $Count = 5,
        # How long one may take.
        [ValidateRange(1, 600)] [int] $TimeoutSeconds = 5
    )

    $sent = Get-Pattern -Length $Length
    $ping = New-Object -TypeName Net.NetworkInformation.Ping
    try {
        for ($number = 0; $number -lt $Count; $number++) {
            $reply = $ping.Send($Address, $TimeoutSeconds * 1000, $sent)
            if ($reply.Status -ne [Net.NetworkInformation.IPStatus]::Success) {
                throw "Ping of $Address with $Length bytes: $($reply.Status)."
            }
            Assert-Same -What "Ping of $Address" -Sent $sent -Received $reply.Buffer
        }
    } finally {
        $ping.Dispose()
    }
}

<#
.SYNOPSIS
Has the server connect to this machine and send, and checks what comes.
#>
function Test-CallBack {
    [CmdletBinding()]
    param(
        # The server.
        [Parameter(Mandatory)] [ValidateNotNull()] [Net.IPAddress] $Address,
        # Its first port.
        [Parameter(Mandatory)] [ValidateRange(1, 65533)] [int] $Port,
        # How long each step may take.
        [ValidateRange(1, 600)] [int] $TimeoutSeconds = 20
    )

    $any = [Net.IPAddress]::Any
    if ($Address.AddressFamily -eq [Net.Sockets.AddressFamily]::InterNetworkV6) {
        $any = [Net.IPAddress]::IPv6Any
    }
    $listener = New-Object -TypeName Net.Sockets.TcpListener -ArgumentList $any, ($Port + 2)
    $listener.Start()
    try {
        $accepting = $listener.AcceptTcpClientAsync()
        $request = Connect-Tcp -Address $Address -Port ($Port + 1) -TimeoutSeconds $TimeoutSeconds
        try {
            if (-not $accepting.Wait($TimeoutSeconds * 1000)) {
                throw "$Address did not call back on port $($Port + 2) within $TimeoutSeconds seconds."
            }
            $client = $accepting.Result
            try {
                $client.ReceiveTimeout = $TimeoutSeconds * 1000
                $sent = Get-Pattern -Length $CallBackLength
                $received = Read-Stream -Stream $client.GetStream() -Length ($CallBackLength + 1)
                Assert-Same -What "Call back of $Address" -Sent $sent -Received $received
            } finally {
                $client.Dispose()
            }
        } finally {
            $request.Dispose()
        }
    } finally {
        $listener.Stop()
    }
}

# How much a call back sends.
$CallBackLength = 50000

<#
.SYNOPSIS
Sends back what one connection sends, until it ends.
#>
function Send-Echo {
    [CmdletBinding()]
    param(
        # The connection.
        [Parameter(Mandatory)] [ValidateNotNull()] [Net.Sockets.TcpClient] $Client
    )

    $Client.ReceiveTimeout = 10000
    $Client.SendTimeout = 10000
    $stream = $Client.GetStream()
    $buffer = New-Object -TypeName byte[] -ArgumentList 65536
    while ($true) {
        $length = $stream.Read($buffer, 0, $buffer.Length)
        if ($length -eq 0) {
            return
        }
        $stream.Write($buffer, 0, $length)
    }
}

<#
.SYNOPSIS
Connects to the machine that asked for it, and sends.
#>
function Send-CallBack {
    [CmdletBinding()]
    param(
        # The connection that asked.
        [Parameter(Mandatory)] [ValidateNotNull()] [Net.Sockets.TcpClient] $Client,
        # The port to connect to.
        [Parameter(Mandatory)] [ValidateRange(1, 65535)] [int] $Port
    )

    $address = $Client.Client.RemoteEndPoint.Address
    if ($address.IsIPv4MappedToIPv6) {
        $address = $address.MapToIPv4()
    }
    $back = Connect-Tcp -Address $address -Port $Port -TimeoutSeconds 20
    try {
        $bytes = Get-Pattern -Length $CallBackLength
        $back.GetStream().Write($bytes, 0, $bytes.Length)
    } finally {
        $back.Dispose()
    }
}

<#
.SYNOPSIS
Runs the server until the time is up. One connection is served at a time.
#>
function Start-EchoServer {
    [CmdletBinding()]
    param(
        # The first of its ports.
        [Parameter(Mandatory)] [ValidateRange(1, 65533)] [int] $Port,
        # How long it runs.
        [Parameter(Mandatory)] [ValidateRange(1, 604800)] [int] $Seconds
    )

    # Both families at once.
    $echo = [Net.Sockets.TcpListener]::Create($Port)
    $callBack = [Net.Sockets.TcpListener]::Create($Port + 1)
    $datagrams = New-Object -TypeName Net.Sockets.Socket -ArgumentList ([Net.Sockets.AddressFamily]::InterNetworkV6), ([Net.Sockets.SocketType]::Dgram), ([Net.Sockets.ProtocolType]::Udp)
    try {
        $echo.Start()
        $callBack.Start()
        $datagrams.DualMode = $true
        $datagrams.Bind((New-Object -TypeName Net.IPEndPoint -ArgumentList ([Net.IPAddress]::IPv6Any), $Port))
        $buffer = New-Object -TypeName byte[] -ArgumentList 65536
        $watch = [Diagnostics.Stopwatch]::StartNew()
        while ($watch.Elapsed.TotalSeconds -lt $Seconds) {
            $idle = $true
            try {
                foreach ($listener in $echo, $callBack) {
                    if ($listener.Pending()) {
                        $idle = $false
                        $client = $listener.AcceptTcpClient()
                        try {
                            if ($listener -eq $echo) {
                                Send-Echo -Client $client
                            } else {
                                Send-CallBack -Client $client -Port ($Port + 2)
                            }
                        } finally {
                            $client.Dispose()
                        }
                    }
                }
                while ($datagrams.Available -gt 0) {
                    $idle = $false
                    [Net.EndPoint] $from = New-Object -TypeName Net.IPEndPoint -ArgumentList ([Net.IPAddress]::IPv6Any), 0
                    $length = $datagrams.ReceiveFrom($buffer, [ref] $from)
                    $null = $datagrams.SendTo($buffer, $length, [Net.Sockets.SocketFlags]::None, $from)
                }
            } catch {
                # A client that goes away is the client's affair: it reports it.
                Write-Warning -Message $_.Exception.Message
            }
            if ($idle) {
                Start-Sleep -Milliseconds 5
            }
        }
    } finally {
        $datagrams.Dispose()
        $callBack.Stop()
        $echo.Stop()
    }
}

<#
.SYNOPSIS
Talks to a server over TCP, UDP and ICMP until the time is up.

.OUTPUTS
An object with Rounds and Failures, an array of messages.
#>
function Invoke-Load {
    [CmdletBinding()]
    param(
        # The server's addresses.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [Net.IPAddress[]] $Address,
        # Its first port.
        [Parameter(Mandatory)] [ValidateRange(1, 65533)] [int] $Port,
        # How long.
        [Parameter(Mandatory)] [ValidateRange(1, 604800)] [int] $Seconds
    )

    $rounds = 0
    $failures = @()
    $watch = [Diagnostics.Stopwatch]::StartNew()
    while ($watch.Elapsed.TotalSeconds -lt $Seconds) {
        foreach ($one in $Address) {
            try {
                Test-TcpEcho -Address $one -Port $Port -Length 20000
                Test-UdpEcho -Address $one -Port $Port -Count 3
                Test-UdpEcho -Address $one -Port $Port -Count 1 -Length 4000
                Test-IcmpEcho -Address $one -Count 1
            } catch {
                $failures += $_.Exception.Message
            }
        }
        $rounds++
    }
    [pscustomobject] @{ Rounds = $rounds; Failures = $failures }
}

<#
.SYNOPSIS
Lets the test's packets through Windows' own firewall. Replaces the rules of an earlier run.
#>
function Add-TestFirewallRule {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # The first of the ports.
        [Parameter(Mandatory)] [ValidateRange(1, 65533)] [int] $Port
    )

    Remove-TestFirewallRule
    if (-not $PSCmdlet.ShouldProcess('Windows firewall', 'Add the rules of the test')) {
        return
    }
    $ports = "$Port-$($Port + 2)"
    $rules = @(
        @{ Name = "$RuleName-TCP"; Protocol = 'TCP'; LocalPort = $ports }
        @{ Name = "$RuleName-UDP"; Protocol = 'UDP'; LocalPort = $ports }
        @{ Name = "$RuleName-ICMPv4"; Protocol = 'ICMPv4'; IcmpType = '8' }
        @{ Name = "$RuleName-ICMPv6"; Protocol = 'ICMPv6'; IcmpType = '128' }
    )
    foreach ($rule in $rules) {
        $null = New-NetFirewallRule @rule -DisplayName $rule.Name -Group $RuleGroup -Direction Inbound -Action Allow -Profile Any
    }
}

<#
.SYNOPSIS
Removes the rules that Add-TestFirewallRule has added.
#>
function Remove-TestFirewallRule {
    [CmdletBinding(SupportsShouldProcess)]
    param()

    Get-NetFirewallRule -Group $RuleGroup -ErrorAction SilentlyContinue | Remove-NetFirewallRule
}

<#
.SYNOPSIS
Requires IPsec in transport mode, with a pre-shared key, to and from some addresses. Replaces the rule of an earlier run.

.DESCRIPTION
A pre-shared key stands in the policy store for every administrator to read. It is for tests.
#>
function Add-TestIPsecRule {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        # The other machine.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string[]] $RemoteAddress,
        # The key.
        [Parameter(Mandatory)] [ValidateLength(8, 128)] [string] $PreSharedKey,
        # What protects the packets.
        [Parameter(Mandatory)] [ValidateSet('ESP', 'AH')] [string] $Encapsulation
    )

    Remove-TestIPsecRule
    if (-not $PSCmdlet.ShouldProcess($RemoteAddress -join ', ', 'Require IPsec')) {
        return
    }
    $authentication = New-NetIPsecAuthProposal -Machine -PreSharedKey $PreSharedKey
    $phase1 = New-NetIPsecPhase1AuthSet -Name $RuleName -DisplayName $RuleName -Proposal $authentication
    if ($Encapsulation -eq 'ESP') {
        $suite = New-NetIPsecQuickModeCryptoProposal -Encapsulation ESP -ESPHash SHA1 -Encryption AES128
    } else {
        $suite = New-NetIPsecQuickModeCryptoProposal -Encapsulation AH -AHHash SHA1 -ESPHash None -Encryption None
    }
    $quickMode = New-NetIPsecQuickModeCryptoSet -Name $RuleName -DisplayName $RuleName -Proposal $suite
    $rule = @{
        IPsecRuleName = $RuleName
        DisplayName = $RuleName
        Mode = 'Transport'
        InboundSecurity = 'Require'
        OutboundSecurity = 'Require'
        Phase1AuthSet = $phase1.Name
        QuickModeCryptoSet = $quickMode.Name
        RemoteAddress = $RemoteAddress
    }
    $null = New-NetIPsecRule @rule
}

<#
.SYNOPSIS
Removes what Add-TestIPsecRule has added.
#>
function Remove-TestIPsecRule {
    [CmdletBinding(SupportsShouldProcess)]
    param()

    Get-NetIPsecRule -IPsecRuleName $RuleName -ErrorAction SilentlyContinue | Remove-NetIPsecRule
    Get-NetIPsecPhase1AuthSet -Name $RuleName -ErrorAction SilentlyContinue | Remove-NetIPsecPhase1AuthSet
    Get-NetIPsecQuickModeCryptoSet -Name $RuleName -ErrorAction SilentlyContinue | Remove-NetIPsecQuickModeCryptoSet
}

Export-ModuleMember -Function @(
    'Add-TestFirewallRule'
    'Add-TestIPsecRule'
    'Invoke-Load'
    'Remove-TestFirewallRule'
    'Remove-TestIPsecRule'
    'Start-EchoServer'
    'Test-CallBack'
    'Test-IcmpEcho'
    'Test-TcpEcho'
    'Test-UdpEcho'
)
