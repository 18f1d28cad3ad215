<#
.SYNOPSIS
Puts what is needed to understand a failure into one zip file: dumps, event log, service, filters, verifier, counters.

.DESCRIPTION
Changes nothing but the zip file. What cannot be had is noted in it and does not stop the rest. A memory dump holds whatever was in the
machine's memory, keys and passwords among it, and a report of the filter engine holds addresses and names of programs: look before
you send it on.

.PARAMETER OutFile
The zip file. It must not exist yet.

.PARAMETER Days
How far back the event log goes.

.PARAMETER IncludeMemoryDump
Takes the large dump too, and not only the small ones.

.PARAMETER ControlTool
The driver's control tool, if there is one: what it prints goes into the file as well.

.PARAMETER ControlToolArguments
What the control tool is started with.

.EXAMPLE
.\collect.ps1 -OutFile C:\tollgate-report.zip -IncludeMemoryDump

.NOTES
Exit codes: 0 done; 1 failed; 2 done, and something could not be had.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidateScript({ -not (Test-Path -LiteralPath $_) })]
    [string] $OutFile = (Join-Path (Get-Location -PSProvider FileSystem).ProviderPath ('tollgate-{0:yyyyMMdd-HHmmss}.zip' -f (Get-Date))),

    [ValidateRange(1, 365)]
    [int] $Days = 7,

    [switch] $IncludeMemoryDump,

    [ValidateScript({ Test-Path -LiteralPath $_ -PathType Leaf })]
    [string] $ControlTool,

    [ValidateNotNull()]
    [string[]] $ControlToolArguments = @()
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Tollgate.psm1') -Force

<#
.SYNOPSIS
Gets one thing; notes it when that fails.

.OUTPUTS
The note when it failed; nothing when it did not.
#>
function Save-Part {
    [CmdletBinding()]
    param(
        # What it is.
        [Parameter(Mandatory)] [ValidateNotNullOrEmpty()] [string] $What,
        # How to get it.
        [Parameter(Mandatory)] [ValidateNotNull()] [scriptblock] $Get
    )

    try {
        $null = & $Get
        Write-Finding $What
    } catch {
        Write-Finding "could not be had: $What. $($_.Exception.Message)"
        "$What`: $($_.Exception.Message)"
    }
}

try {
    Assert-TestMachine
    $fact = Get-TollgateFact
    $OutFile = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($OutFile)
    if (-not $PSCmdlet.ShouldProcess($OutFile, 'Write the report')) {
        exit 0
    }
    $folder = Join-Path ([IO.Path]::GetTempPath()) "tollgate-report-$([Guid]::NewGuid())"
    $null = New-Item -ItemType Directory -Path $folder
    try {
        Write-Step 'Collect'
        $services = 'HKLM\SYSTEM\CurrentControlSet\Services'
        $missing = @(
            Save-Part -What 'Windows' -Get {
                Get-CimInstance -ClassName Win32_OperatingSystem |
                    Format-List -Property 'Caption', 'Version', 'BuildNumber', 'OSArchitecture', 'LastBootUpTime', 'TotalVisibleMemorySize' |
                    Out-File -FilePath (Join-Path $folder 'windows.txt') -Encoding utf8
            }
            Save-Part -What 'service' -Get {
                Get-TollgateService | Format-List -Property * | Out-File -FilePath (Join-Path $folder 'service.txt') -Encoding utf8
                if (Test-TollgateServiceKey) {
                    Invoke-Tool -Program 'reg.exe' -Arguments 'export', "$services\$($fact.ServiceName)", (Join-Path $folder 'service.reg'), '/y'
                }
            }
            Save-Part -What 'image' -Get {
                $service = Get-TollgateService
                if ($null -ne $service) {
                    $image = $service.PathName -replace '^\\\?\?\\', '' -replace '^\\SystemRoot', $env:SystemRoot
                    Get-Item -LiteralPath $image | Select-Object -ExpandProperty VersionInfo | Format-List -Property * |
                        Out-File -FilePath (Join-Path $folder 'image.txt') -Encoding utf8
                    Get-FileHash -LiteralPath $image | Format-List -Property * |
                        Out-File -FilePath (Join-Path $folder 'image.txt') -Encoding utf8 -Append
                    Get-AuthenticodeSignature -LiteralPath $image | Format-List -Property * |
                        Out-File -FilePath (Join-Path $folder 'image.txt') -Encoding utf8 -Append
                }
            }
            Save-Part -What 'counters' -Get {
                $service = Get-TollgateService
                if ($null -ne $service -and $service.State -eq 'Running') {
                    $counters = Get-TollgateCounter
                    $counters.GetEnumerator() | ForEach-Object -Process { '{0,20}  {1}' -f $_.Value, $_.Key } |
                        Set-Content -LiteralPath (Join-Path $folder 'counters.txt') -Encoding UTF8
                    Get-TollgateDisagreement -Counters $counters | Add-Content -LiteralPath (Join-Path $folder 'counters.txt') -Encoding UTF8
                }
            }
            Save-Part -What 'control tool' -Get {
                $file = Join-Path $folder 'control-tool.txt'
                if ($ControlTool) {
                    (Invoke-Tool -Program (Resolve-Path -LiteralPath $ControlTool).ProviderPath -Arguments $ControlToolArguments).Output |
                        Set-Content -LiteralPath $file -Encoding UTF8
                } else {
                    Set-Content -LiteralPath $file -Encoding UTF8 -Value 'None was given (-ControlTool).'
                }
            }
            foreach ($report in 'state', 'filters', 'netevents') {
                Save-Part -What "filter engine: $report" -Get {
                    Invoke-Tool -Program 'netsh.exe' -Arguments 'wfp', 'show', $report, "file=$(Join-Path $folder "wfp-$report.xml")"
                }
            }
            Save-Part -What 'filter engine: the driver''s objects' -Get {
                Get-TollgateFilterObject | Format-Table -AutoSize | Out-File -FilePath (Join-Path $folder 'wfp-tollgate.txt') -Encoding utf8
            }
            Save-Part -What 'IPsec' -Get {
                Get-NetIPsecQuickModeSA -ErrorAction SilentlyContinue | Format-List -Property * |
                    Out-File -FilePath (Join-Path $folder 'ipsec.txt') -Encoding utf8
            }
            foreach ($query in 'query', 'querysettings') {
                Save-Part -What "Driver Verifier: $query" -Get {
                    (Invoke-Tool -Program 'verifier.exe' -Arguments "/$query" -Success 0, 1, 2).Output |
                        Set-Content -LiteralPath (Join-Path $folder "verifier-$query.txt") -Encoding UTF8
                }
            }
            Save-Part -What 'driver store' -Get {
                Get-TollgatePackage | Format-List -Property * | Out-File -FilePath (Join-Path $folder 'driver-store.txt') -Encoding utf8
                Copy-Item -LiteralPath (Join-Path $env:SystemRoot 'INF\setupapi.dev.log') -Destination $folder
            }
            foreach ($log in 'System', 'Application') {
                Save-Part -What "event log: $log" -Get {
                    $query = "/query:*[System[TimeCreated[timediff(@SystemTime) <= $([int64] $Days * 86400000)]]]"
                    Invoke-Tool -Program 'wevtutil.exe' -Arguments 'export-log', $log, (Join-Path $folder "$log.evtx"), $query
                }
            }
            Save-Part -What 'small dumps' -Get {
                $dumps = Join-Path $env:SystemRoot 'Minidump'
                if (Test-Path -LiteralPath $dumps) {
                    Copy-Item -LiteralPath $dumps -Destination $folder -Recurse
                }
            }
            Save-Part -What 'memory dump' -Get {
                $settings = Get-ItemProperty -LiteralPath 'HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl'
                $settings | Format-List -Property * | Out-File -FilePath (Join-Path $folder 'crash-control.txt') -Encoding utf8
                $dump = [Environment]::ExpandEnvironmentVariables($settings.DumpFile)
                if (Test-Path -LiteralPath $dump) {
                    Get-Item -LiteralPath $dump | Format-List -Property 'FullName', 'Length', 'LastWriteTime' |
                        Out-File -FilePath (Join-Path $folder 'memory-dump.txt') -Encoding utf8
                    if ($IncludeMemoryDump) {
                        Copy-Item -LiteralPath $dump -Destination $folder
                    }
                }
            }
        )
        if ($missing.Count -gt 0) {
            Set-Content -LiteralPath (Join-Path $folder 'missing.txt') -Encoding UTF8 -Value $missing
        }
        Write-Step 'Zip'
        # Not Compress-Archive, which takes no file of more than 2 GiB.
        Add-Type -AssemblyName System.IO.Compression.FileSystem
        [IO.Compression.ZipFile]::CreateFromDirectory($folder, $OutFile)
    } finally {
        Remove-Item -LiteralPath $folder -Recurse
    }
    Write-Step "Done: $OutFile"
    if ($missing.Count -gt 0) {
        exit 2
    }
    exit 0
} catch {
    Write-Error -ErrorRecord $_ -ErrorAction Continue
    exit 1
}
