<#
.SYNOPSIS
Starts and stops the driver again and again while traffic goes through it.

.DESCRIPTION
Other processes of this script send traffic the whole time, over loopback and to the peers that are given. Each cycle starts the
driver, lets it run for a random time, reads its counters, stops it, and looks at how long that took. At every tenth stop the filter
engine is asked whether something was left behind.

A driver that does not stop in time is left as it is, for the debugger. What to do then is in docs/debugging.md.

.PARAMETER Count
How many cycles.

.PARAMETER Peer
Addresses of machines on which peer.ps1 runs.

.PARAMETER Port
The first of three ports.

.PARAMETER Processes
How many processes send.

.PARAMETER LongestRunMilliseconds
The longest that the driver runs in one cycle.

.PARAMETER StopTimeoutSeconds
How long it may take to stop.

.EXAMPLE
.\stress.ps1 -Count 500 -Peer 192.0.2.9, 2001:db8::9

.NOTES
Exit codes: 0 all cycles done, no connection broken; 1 the test could not be run; 2 something failed, and is listed; 4 the driver
did not stop in time. A crash of the machine has no exit code; collect.ps1 finds its dump.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidateRange(1, 1000000)]
    [int] $Count = 100,

    [ValidateNotNullOrEmpty()]
    [Net.IPAddress[]] $Peer,

    [ValidateRange(1, 65533)]
    [int] $Port = 5666,

    [ValidateRange(1, 64)]
    [int] $Processes = 4,

    [ValidateRange(1, 600000)]
    [int] $LongestRunMilliseconds = 3000,

    [ValidateRange(1, 3600)]
    [int] $StopTimeoutSeconds = 30
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Tollgate.psm1') -Force
Import-Module -Name (Join-Path $PSScriptRoot 'Traffic.psm1') -Force

try {
    Assert-TestMachine
    $fact = Get-TollgateFact
    if ($null -eq (Get-TollgateService)) {
        throw "There is no service $($fact.ServiceName). Run install.ps1 first."
    }
    if (-not $PSCmdlet.ShouldProcess($fact.ServiceName, "Start and stop $Count times")) {
        exit 0
    }
    $wasRunning = (Get-TollgateService).State -eq 'Running'
    $failures = @()
    $slowest = [TimeSpan]::Zero
    $stuck = $false
    $server = $null
    $jobs = @()
    # Read back by the load, which ends when the file is gone.
    $going = Join-Path ([IO.Path]::GetTempPath()) "tollgate-stress-$([Guid]::NewGuid())"
    try {
        Write-Step "Load from $Processes processes"
        $null = New-Item -ItemType File -Path $going
        $script = Join-Path $PSScriptRoot 'peer.ps1'
        $arguments = @('-NoProfile', '-ExecutionPolicy', 'Bypass', '-File', "`"$script`"", '-LocalOnly', '-Port', $Port, '-Seconds', 604800)
        $server = Start-Process -FilePath 'powershell.exe' -ArgumentList $arguments -WindowStyle Hidden -PassThru
        Start-Sleep -Seconds 5
        $addresses = @([Net.IPAddress]::Loopback, [Net.IPAddress]::IPv6Loopback) + @($Peer | Where-Object -FilterScript { $null -ne $_ })
        $texts = @($addresses | ForEach-Object -Process { $_.ToString() })
        $load = {
            param($Module, $Address, $Port, $Going)
            Set-StrictMode -Version 3.0
            $ErrorActionPreference = 'Stop'
            Import-Module -Name $Module
            while (Test-Path -LiteralPath $Going) {
                Invoke-Load -Address $Address -Port $Port -Seconds 5
            }
        }
        $module = Join-Path $PSScriptRoot 'Traffic.psm1'
        for ($number = 0; $number -lt $Processes; $number++) {
            $jobs += Start-Job -ScriptBlock $load -ArgumentList $module, $texts, $Port, $going
        }

        for ($cycle = 1; $cycle -le $Count; $cycle++) {
            Start-Tollgate
            Start-Sleep -Milliseconds (Get-Random -Minimum 1 -Maximum ($LongestRunMilliseconds + 1))
            $counters = Get-TollgateCounter
            try {
                $took = Stop-Tollgate -TimeoutSeconds $StopTimeoutSeconds
            } catch {
                $stuck = $true
                $failures += $_.Exception.Message
                break
            }
            if ($took -gt $slowest) {
                $slowest = $took
            }
            if ($counters['engine_failed'] -gt 0) {
                $failures += "Cycle $cycle`: engine_failed is $($counters['engine_failed'])."
            }
            if ($cycle % 10 -eq 0 -or $cycle -eq $Count) {
                $left = @(Get-TollgateFilterObject)
                if ($left.Count -gt 0) {
                    $failures += "Cycle $cycle`: the filter engine still has $($left.Count) of the driver's objects."
                }
                Write-Finding ("{0} of {1} cycles; {2} classifies in the last; slowest stop {3:N2} s." -f $cycle, $Count,
                    ($counters['classified_inbound_transport'] + $counters['classified_outbound_transport']), $slowest.TotalSeconds)
            }
        }
    } finally {
        Remove-Item -LiteralPath $going -ErrorAction SilentlyContinue
        if ($jobs.Count -gt 0) {
            $null = Wait-Job -Job $jobs -Timeout 120
            foreach ($result in @(Receive-Job -Job $jobs -ErrorAction Continue)) {
                $failures += @($result.Failures)
            }
            Remove-Job -Job $jobs -Force
        }
        if ($null -ne $server) {
            Stop-Process -InputObject $server -ErrorAction SilentlyContinue
        }
    }
    if (-not $stuck -and $wasRunning) {
        Start-Tollgate
        Write-Finding 'The driver runs again, as before the test.'
    }
    if ($failures.Count -gt 0) {
        Write-Step "$($failures.Count) failures:"
        foreach ($failure in $failures) {
            Write-Finding $failure
        }
        if ($stuck) {
            exit 4
        }
        exit 2
    }
    Write-Step ("{0} cycles, no connection broken, nothing left behind; slowest stop {1:N2} s." -f $Count, $slowest.TotalSeconds)
    exit 0
} catch {
    Write-Error -ErrorRecord $_ -ErrorAction Continue
    exit 1
}
