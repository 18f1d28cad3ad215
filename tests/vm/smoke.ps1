<#
.SYNOPSIS
Sends real traffic through the driver, TCP, UDP and ICMP, V4 and V6, with IPsec if asked, and checks every byte and the counters.

.DESCRIPTION
Without -Peer the traffic is this machine's own loopback, which the driver holds on its way out only. With the addresses of a second
machine on which peer.ps1 runs it is real: out, in, called back, and with datagrams and pings that come in fragments. With
-PreSharedKey all of that goes through IPsec in transport mode, and the driver must have rebuilt packets.

The driver is started when it does not run. The IPsec and firewall rules of the test are removed at the end.

.PARAMETER Peer
The second machine's addresses; give it one of each family.

.PARAMETER Port
The first of three ports, the same as given to peer.ps1.

.PARAMETER PreSharedKey
Requires IPsec towards the peer; peer.ps1 must have been started with the same key.

.PARAMETER Encapsulation
ESP or AH.

.PARAMETER Rounds
How often everything is done.

.EXAMPLE
.\smoke.ps1

.EXAMPLE
.\smoke.ps1 -Peer 192.0.2.9, 2001:db8::9

.EXAMPLE
.\smoke.ps1 -Peer 192.0.2.9, 2001:db8::9 -PreSharedKey 'for this test'

.NOTES
Exit codes: 0 everything came back whole and the counters agree; 1 the test could not be run; 2 something failed, and is listed.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidateNotNullOrEmpty()]
    [Net.IPAddress[]] $Peer,

    [ValidateRange(1, 65533)]
    [int] $Port = 5666,

    [ValidateLength(8, 128)]
    [string] $PreSharedKey,

    [ValidateSet('ESP', 'AH')]
    [string] $Encapsulation = 'ESP',

    [ValidateRange(1, 10000)]
    [int] $Rounds = 3
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Tollgate.psm1') -Force
Import-Module -Name (Join-Path $PSScriptRoot 'Traffic.psm1') -Force

<#
.SYNOPSIS
Runs one check and says how it went.

.OUTPUTS
The message when it failed; nothing when it did not.
#>
function Invoke-Check {
    [CmdletBinding()]
    param(
        # What is checked.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $What,
        # How; throws when it fails.
        [Parameter(Mandatory)] [ValidateNotNull()] [scriptblock] $Check
    )

    $watch = [Diagnostics.Stopwatch]::StartNew()
    try {
        & $Check
        Write-Finding ("ok     {0} ({1:N1} s)" -f $What, $watch.Elapsed.TotalSeconds)
    } catch {
        Write-Finding ("FAILED {0}: {1}" -f $What, $_.Exception.Message)
        "$What`: $($_.Exception.Message)"
    }
}

<#
.SYNOPSIS
What the counters of a run say that they should not. Nothing when all is well.
#>
function Get-CounterFault {
    [CmdletBinding()]
    param(
        # The last reading.
        [Parameter(Mandatory)] [ValidateNotNull()] [Collections.IDictionary] $After,
        # What the counters have grown by.
        [Parameter(Mandatory)] [ValidateNotNull()] [Collections.IDictionary] $Grown,
        # Those that must have grown.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string[]] $Expected
    )

    Get-TollgateDisagreement -Counters $After
    foreach ($name in $Expected) {
        if (-not $Grown.Contains($name)) {
            "$name has not grown, and the traffic should have made it."
        }
    }
    $losses = (Get-TollgateFact).Counters | Where-Object -FilterScript {
        $_.Group -eq 'dropped' -or $_.Name -eq 'completed_failure' -or $_.Name -eq 'completed_not_accepted'
    }
    foreach ($counter in $losses) {
        if ($Grown.Contains($counter.Name)) {
            "$($counter.Name) has grown by $($Grown[$counter.Name]): packets were lost. docs/operating.md says what it means."
        }
    }
}

try {
    Assert-TestMachine
    if ($PreSharedKey -and -not $Peer) {
        throw '-PreSharedKey needs -Peer: loopback is not protected by IPsec.'
    }
    if (-not $PSCmdlet.ShouldProcess('this machine', 'Send the traffic of the test')) {
        exit 0
    }
    $server = $null
    $failures = @()
    try {
        Write-Step 'Driver'
        if ((Get-TollgateService | Where-Object -FilterScript { $_.State -eq 'Running' })) {
            Write-Finding 'It runs already.'
        } else {
            Start-Tollgate
            Write-Change 'the driver, started. It stays so.'
        }

        $expected = @('classified_outbound_transport', 'classified_connect', 'held_outbound_transport', 'reinjected_send', 'completed_success')
        if ($Peer) {
            $addresses = $Peer
            $expected += 'classified_inbound_transport', 'classified_recv_accept', 'held_inbound_transport', 'held_connect', 'held_recv_accept', 'reinjected_receive'
            Add-TestFirewallRule -Port $Port
            Write-Change "Windows' firewall lets ports $Port to $($Port + 2) and pings in, until the end of the test."
        } else {
            $addresses = [Net.IPAddress]::Loopback, [Net.IPAddress]::IPv6Loopback
            $script = Join-Path $PSScriptRoot 'peer.ps1'
            $arguments = @('-NoProfile', '-ExecutionPolicy', 'Bypass', '-File', "`"$script`"", '-LocalOnly', '-Port', $Port)
            $server = Start-Process -FilePath 'powershell.exe' -ArgumentList $arguments -WindowStyle Hidden -PassThru
            Start-Sleep -Seconds 5
        }
        if ($PreSharedKey) {
            $expected += 'rebuilt_ipsec'
            $texts = @($Peer | ForEach-Object -Process { $_.ToString() })
            Add-TestIPsecRule -RemoteAddress $texts -PreSharedKey $PreSharedKey -Encapsulation $Encapsulation
            Write-Change "$Encapsulation is required towards $($texts -join ', '), until the end of the test."
        }

        $before = Wait-TollgateQuiet
        for ($round = 1; $round -le $Rounds; $round++) {
            Write-Step "Traffic, round $round of $Rounds"
            foreach ($address in $addresses) {
                $failures += @(
                    Invoke-Check -What "ICMP, $address" -Check { Test-IcmpEcho -Address $address }
                    Invoke-Check -What "ICMP in fragments, $address" -Check { Test-IcmpEcho -Address $address -Length 4000 }
                    Invoke-Check -What "TCP, $address" -Check { Test-TcpEcho -Address $address -Port $Port }
                    Invoke-Check -What "TCP called back, $address" -Check { Test-CallBack -Address $address -Port $Port }
                    Invoke-Check -What "UDP, $address" -Check { Test-UdpEcho -Address $address -Port $Port }
                    Invoke-Check -What "UDP in fragments, $address" -Check { Test-UdpEcho -Address $address -Port $Port -Length 4000 }
                )
            }
        }
        if ($PreSharedKey) {
            $associations = @(Get-NetIPsecQuickModeSA -ErrorAction SilentlyContinue)
            Write-Finding "There are $($associations.Count) IPsec quick mode associations."
            if ($associations.Count -eq 0) {
                $failures += 'IPsec: no quick mode association was made. Is peer.ps1 running with the same key?'
            }
        }

        Write-Step 'Counters'
        $after = Wait-TollgateQuiet
        $grown = Compare-TollgateCounter -Before $before -After $after
        foreach ($name in $grown.Keys) {
            Write-Finding ("{0,12}  {1}" -f $grown[$name], $name)
        }
        $failures += @(Get-CounterFault -After $after -Grown $grown -Expected $expected)
    } finally {
        if ($null -ne $server) {
            Stop-Process -InputObject $server -ErrorAction SilentlyContinue
        }
        if ($Peer) {
            Remove-TestFirewallRule
            Write-Change "the rules of the test in Windows' firewall, removed."
        }
        if ($PreSharedKey) {
            Remove-TestIPsecRule
            Write-Change 'the IPsec rule of the test, removed.'
        }
    }
    if ($failures.Count -gt 0) {
        Write-Step "$($failures.Count) failures:"
        foreach ($failure in $failures) {
            Write-Finding $failure
        }
        exit 2
    }
    Write-Step 'Everything came back whole, and the counters agree.'
    exit 0
} catch {
    Write-Error -ErrorRecord $_ -ErrorAction Continue
    exit 1
}
